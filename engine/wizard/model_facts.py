"""What there is to know of the chosen model, as names and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.text import Phrase, parameter_words, verbatim
from engine.wizard.memory import Need, need

if TYPE_CHECKING:
    from engine.wizard.session import Wizard

UNKNOWN = Phrase("not known")
ASK = Phrase("Not on this machine. Enter looks it up on the hub.")


def traits(wizard: Wizard) -> list[tuple[Phrase, Phrase]]:
    """(name, value) of the chosen model; none while it has not been looked at."""
    found: dict[str, Any] | None = wizard.found("model")
    if found is None or not found.get("known", True):
        return []
    return [
        (Phrase("Size"), _parameters(found)),
        (Phrase("Context"), _context(found)),
        (Phrase("Licence"), _licence(found)),
        (Phrase("Kind"), _kind(found)),
        (Phrase("Template"), _template(found, str(wizard.value("train.template") or ""))),
        (Phrase("Stored"), _stored(found)),
    ]


def fits_line(wizard: Wizard) -> Phrase | None:
    """Whether it fits with the preset of now; None where that cannot be said."""
    found = need(wizard)
    return found.verdict_line if isinstance(found, Need) else None


def lines(wizard: Wizard) -> list[Phrase]:
    """The same as sentences, for a list without columns."""
    found: dict[str, Any] | None = wizard.found("model")
    if found is None:
        return []
    if not found.get("known", True):
        return [ASK]
    told = [Phrase("{label}: {value}", {"label": label, "value": value}) for label, value in traits(wizard)]
    fits = fits_line(wizard)
    return [verbatim(found["name"]), *told, *([fits] if fits else [])]


def _parameters(found: dict[str, Any]) -> Phrase:
    count = found.get("parameters")
    return Phrase("{count} parameters", {"count": parameter_words(count)}) if count else UNKNOWN


def _context(found: dict[str, Any]) -> Phrase:
    tokens = found.get("max_positions")
    return Phrase("{tokens} tokens", {"tokens": tokens}) if tokens else UNKNOWN


def _licence(found: dict[str, Any]) -> Phrase:
    name = found.get("licence")
    if not name:
        return Phrase("not stated")
    return Phrase("{licence}, hub login", {"licence": name}) if found.get("gated") else verbatim(name)


def _kind(found: dict[str, Any]) -> Phrase:
    kinds = {True: Phrase("instruct"), False: Phrase("base")}
    kind, family = kinds.get(found.get("tuned"), UNKNOWN), found.get("model_type")  # type: ignore[arg-type]
    return Phrase("{kind} ({family})", {"kind": kind, "family": family}) if family else kind


def _stored(found: dict[str, Any]) -> Phrase:
    size = f"{found['bytes'] / 1e9:.1f}" if found.get("bytes") else "?"
    values = {"dtype": dtype_words(str(found.get("dtype") or "")), "bytes": size}
    if found["here"]:
        return Phrase("{dtype}, {bytes} GB, here", values)
    return Phrase("{dtype}, {bytes} GB download", values)


def _template(found: dict[str, Any], answered: str) -> Phrase:
    if answered and answered != "auto":
        return Phrase("{name}, as you set it", {"name": answered})
    if found.get("own"):
        name = found.get("template") or found.get("turns")
        return Phrase("its own ({name})", {"name": name}) if name else Phrase("its own")
    return Phrase("none: see Settings")


def dtype_words(dtype: str) -> str:
    """A type of numbers in the short form: bf16 of BF16 and of bfloat16."""
    short = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "f16": "fp16", "f32": "fp32"}
    return short.get(dtype.lower(), dtype.lower()) or "?"
