"""How one key of the table is described, and the kinds of value that several keys share."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta


def key(
    text: str,
    *,
    usual: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    basic: bool = False,
    expert: bool = False,
    identity: bool = True,
    path: bool = False,
) -> Meta:
    """Describe a key: one line of help, the range people use, its bounds.

    basic: shown before the advanced ones. expert: for who writes it into a file, and never asked. identity: changes
    what is learned, so it tells one run from another. path: a file or folder, relative to where the config says.
    """
    # msgspec puts bounds on plain numbers only, not on `int | None`: they are kept here and checked in checking.py.
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    extra = {"usual": usual, "basic": basic, "expert": expert, "identity": identity, "path": path, "bounds": bounds}
    return Meta(description=text, extra=extra)


Names = str | list[str]
Switch = Literal["no", "steps", "epoch"]
Scheduler = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
]

MODEL = key("Base model: a folder, a hub name, or smollm2-135m (built in).", basic=True, path=True)
REMOTE_CODE = key("Run Python code that comes with the model. Only for models you trust.", identity=False)
TEMPLATE = key(
    "How a conversation is written out for the model: auto is the model's own chat template.", usual="auto", basic=True
)
REVISION = key("Branch, tag or commit of a model from a hub.", expert=True)
HUB_FOLDER = key("Where models and datasets of a hub are kept.", identity=False, path=True, expert=True)
ADAPTERS = Annotated[Names | None, key("Adapter folder; when training, one to go on from.", path=True)]
