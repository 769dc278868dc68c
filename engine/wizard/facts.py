"""What was found out, as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.hardware import GIB, Gpu
from engine.hardware.users import is_busy, users
from engine.text import Phrase, verbatim

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


def about(wizard: Wizard, step: str) -> list[Phrase]:
    """Lines of facts for a step; none while they are not known."""
    found = {"hardware": _hardware, "model": _model, "data": _data, "preset": _preset, "settings": _none}
    return found.get(step, _none)(wizard)


def _none(wizard: Wizard) -> list[Phrase]:
    return []


def _hardware(wizard: Wizard) -> list[Phrase]:
    machine = wizard.found("hardware")
    if machine is None:
        return []
    lines = [
        Phrase(
            "GPU {index}: {name}, {free} of {total} GB free",
            {"index": gpu.label, "name": gpu.name, "free": f"{gpu.free / GIB:.1f}", "total": f"{gpu.total / GIB:.1f}"},
        )
        for gpu in machine.hardware.gpus
    ]
    lines += [line for gpu in machine.hardware.gpus for line in _caveats(gpu)]
    lines += [note.text for note in machine.hardware.notes]
    if machine.hardware.driver:
        lines.append(Phrase("Driver: {version}", {"version": machine.hardware.driver}))
    if not machine.hardware.gpus:
        lines.append(Phrase("GPU: none ({reason})", {"reason": machine.hardware.reason}))
    host = machine.host
    lines.append(Phrase("Processor: {name}, {cores} cores", {"name": host.cpu, "cores": host.cores}))
    memory = {"free": f"{host.free / GIB:.1f}", "total": f"{host.memory / GIB:.1f}"}
    lines.append(Phrase("Memory: {free} of {total} GB free", memory))
    best = machine.hardware.best()
    if best is None:
        lines.append(
            Phrase("Without a GPU a small model learns in minutes, a large one in days. The built-in model is small.")
        )
    elif len(machine.hardware.gpus) > 1:
        lines.append(Phrase("The run takes the one with most free memory: GPU {index}.", {"index": best.label}))
    return lines


def _caveats(gpu: Gpu) -> Iterator[Phrase]:
    """What makes a card less than its name: others on it, no bf16, no memory of its own."""
    if is_busy(gpu):
        used = {"index": gpu.label, "used": f"{(gpu.used or 0) / GIB:.1f}", "who": users(gpu)}
        yield Phrase("GPU {index}: {used} GB used by {who}", used)
    if gpu.bf16 is False:
        yield Phrase("GPU {index} has no bf16: fp16 is used.", {"index": gpu.label})
    if gpu.unified:
        yield Phrase("GPU {index} shares the processor's memory.", {"index": gpu.label})


def _model(wizard: Wizard) -> list[Phrase]:
    found: dict[str, Any] | None = wizard.found("model")
    if found is None:
        return []
    if not found["here"]:
        size = f"{found['bytes'] / 1e9:.1f}" if found["bytes"] else "?"
        return [Phrase("{name} is downloaded when the run starts: {size} GB.", {"name": found["name"], "size": size})]
    figures = {"name": found["name"], "size": found["size"], "kind": found["model_type"]}
    figures["bytes"] = f"{found['bytes'] / 1e9:.1f}"
    return [Phrase("{name}: {size} parameters ({kind}), {bytes} GB, on this machine.", figures)]


def _data(wizard: Wizard) -> list[Phrase]:
    found: dict[str, Any] | None = wizard.found("data")
    if found is None:
        return []
    count = Phrase("{rows} rows", {"rows": found["rows"]})
    if not found["whole"]:
        count = Phrase("more than {rows} rows", {"rows": found["rows"]})
    if not found["mapping"]:
        columns = ", ".join(found["columns"])
        return [Phrase("{count}, with the columns {columns}.", {"count": count, "columns": columns})]
    used = ", ".join(f"{target} = {column}" for target, column in found["mapping"].items())
    lines = [Phrase("{count}, read as {used}.", {"count": count, "used": used})]
    if found["dropped"]:
        lines.append(Phrase("{dropped} rows cannot be used and are left out.", {"dropped": found["dropped"]}))
    return lines


def _preset(wizard: Wizard) -> list[Phrase]:
    machine = wizard.found("hardware")
    return [wizard.preset().why] if machine else []


def made(wizard: Wizard, outputs: Mapping[str, str]) -> list[Phrase]:
    """What to do with what a run made: talk to it, serve it, repeat it."""
    folder = wizard.folder()
    lines = [Phrase("Talk to it: {command}", {"command": f"sft-wizard chat {wizard.shell_path(folder)}"})]
    if "merged" in outputs:
        serve = f"vllm serve {wizard.shell_path(Path(outputs['merged']))}"
        lines.append(Phrase("Any tool that takes Hugging Face models serves it: {command}", {"command": serve}))
    else:
        export = f"sft-wizard export {wizard.shell_path(folder / 'configs' / 'merge_config.yaml')}"
        lines.append(Phrase("Merge it, so that any tool can serve it: {command}", {"command": export}))
    return [*lines, Phrase("Do it again without questions: {command}", {"command": wizard.command()})]


def preview_line(voice: str) -> Phrase:
    """Who speaks in the preview of a sample."""
    return _VOICES.get(voice) or verbatim(voice)


_VOICES = {
    "system": Phrase("System"),
    "user": Phrase("Question"),
    "assistant": Phrase("Answer (this is learned)"),
    "observation": Phrase("Tool"),
    "function": Phrase("Tool call"),
}
