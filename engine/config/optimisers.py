"""Optimisers by their names in transformers, and the packages that some of them come from."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Callable
from typing import Any

from engine.errors import EnvironmentProblem, Problem

_BY_PACKAGE = {
    "": "adamw_torch adamw_torch_fused adafactor sgd adagrad rmsprop",
    "bitsandbytes": "adamw_8bit adamw_bnb_8bit paged_adamw_8bit paged_adamw_32bit lion_8bit lion_32bit paged_lion_8bit "
    "paged_lion_32bit ademamix ademamix_8bit paged_ademamix_8bit paged_ademamix_32bit rmsprop_bnb rmsprop_bnb_8bit "
    "rmsprop_bnb_32bit",
    "torchao": "adamw_torch_4bit adamw_torch_8bit",
    "torchdistx": "adamw_anyprecision",
    "torch_xla": "adamw_torch_xla",
    "torch_npu": "adamw_torch_npu_fused",
    "galore_torch": "galore_adamw galore_adamw_8bit galore_adafactor galore_adamw_layerwise "
    "galore_adamw_8bit_layerwise galore_adafactor_layerwise",
    "apollo_torch": "apollo_adamw apollo_adamw_layerwise",
    "lomo_optim": "lomo adalomo",
    "grokadamw": "grokadamw",
    "schedulefree": "schedule_free_radam schedule_free_adamw schedule_free_sgd",
    "optimi": "stable_adamw",
}
PACKAGES = {name: package for package, names in _BY_PACKAGE.items() for name in names.split()}  # as it is imported
PLAIN = [name for name, package in PACKAGES.items() if not package]  # these need none
NEAR = 3
SLIP = 0.8  # how alike a name and a slip of it are, as difflib has it


def perhaps_newer(name: str) -> bool:
    """Whether a name that is not known here may be one of a newer transformers: no slip of the pen makes it of these.

    Training asks the installed one (train/optimisers.py); transformers is not imported where a config is read.
    """
    named = re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None
    return named and not difflib.get_close_matches(name, PACKAGES, n=1, cutoff=SLIP)


def unknown(name: str) -> dict[str, Any]:
    """What a message on a name that is not known says: those like it, with their packages, and those without."""
    near = difflib.get_close_matches(name.lower().replace("-", "_"), PACKAGES, n=NEAR, cutoff=0.5) or ["adamw_torch"]
    named = [f"{one} ({PACKAGES[one]})" if PACKAGES[one] else one for one in near]
    return {"given": name, "near": named, "plain": PLAIN}


def require(name: str, find: Callable[[str], Any] = importlib.util.find_spec) -> None:
    """Raise EnvironmentProblem where the package of an optimiser is not installed; nothing is imported for it."""
    package = PACKAGES.get(name, "")
    if not package or find(package) is not None:
        return
    if package == "bitsandbytes":
        raise EnvironmentProblem(Problem("bitsandbytes_missing", {"key": f"optim: {name}"}, "optim"))
    raise EnvironmentProblem(Problem("optimiser_package", {"name": name, "package": package}, "optim"))
