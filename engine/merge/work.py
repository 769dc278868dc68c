"""The merge step of a run: what is there is moved aside, the merge streams, and the result is proved."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import msgspec
import psutil
from transformers import AutoTokenizer

from engine.config.schema import MergeConfig
from engine.data.conversation import Conversation, Turn
from engine.data.encode import render_prompt
from engine.data.templates import load_template
from engine.errors import Problem, RunError
from engine.fingerprints import merge_fingerprint
from engine.merge.prove import prove
from engine.merge.stream import merge_adapter
from engine.outputs import mark_finished, mark_started, move_aside, standing
from engine.runs.worker import Work

PROOF_TOKENS = 64  # in all: enough to tell a mistake from rounding
MEMORY_SHARE = 0.5  # of what is free


def run(work: Work) -> None:
    """Merge what work.config["merge"] says. Raises StopRequested with nothing left behind."""
    spec = work.config["merge"]
    config = msgspec.convert(spec["config"], MergeConfig)
    base, adapter, out = Path(spec["model_path"]), Path(spec["adapter"]), Path(config.export_dir)
    work.lock(out)
    fingerprint = merge_fingerprint(config, adapter, base)
    state = standing(out, fingerprint)
    if state == "finished" and not spec.get("fresh"):
        work.events.write("log", what="kept", path=str(out))
    else:
        if state not in ("absent", "foreign"):
            target = move_aside(out)
            work.warn(Problem("moved_aside", {"folder": str(out), "target": str(target)}, severity="note"))
        _merge(work, config, spec["prompts"], base, adapter, out, fingerprint)
        mark_finished(out, fingerprint, work.run.path)
    work.made("merged", out)


def _merge(
    work: Work, config: MergeConfig, prompts: list[str], base: Path, adapter: Path, out: Path, fingerprint: str
) -> None:
    work.phase("merging")
    own = adapter if (adapter / "tokenizer_config.json").exists() else None
    report = merge_adapter(
        base,
        adapter,
        out,
        tokenizer_from=own,
        max_shard_bytes=config.shard_bytes,
        trust_remote_code=config.trust_remote_code,
        progress=lambda done, total: work.progress(done, total, "bytes"),
        dtype=config.dtype,
        should_stop=work.should_stop,
        on_note=work.warn,
    )
    work.events.write(
        "log", what="merged", tensors=report.tensors, changed=report.changed, bytes=report.bytes, seconds=report.seconds
    )
    mark_started(out, fingerprint, work.run.path)  # ours, though not yet proved
    work.phase("proving")
    proof = prove(
        base,
        adapter,
        out,
        prompts=_prompt_ids(config, prompts, own or base),
        memory_limit_bytes=int(psutil.virtual_memory().available * MEMORY_SHARE),
        dtype=config.dtype,
        trust_remote_code=config.trust_remote_code,
    )
    for note in proof.notes:
        if note.severity != "error":
            work.warn(note)
    found = {name: value for name, value in asdict(proof).items() if name != "notes"}
    work.events.write("proof", **found)
    if not proof.passed:
        failures = [note for note in proof.notes if note.severity == "error"]
        raise RunError(*failures)


def _prompt_ids(config: MergeConfig, prompts: list[str], tokenizer_folder: Path) -> list[list[int]]:
    """The prompts as the model is asked them, cut so that all together stay near PROOF_TOKENS."""
    tokenizer = AutoTokenizer.from_pretrained(
        tokenizer_folder, trust_remote_code=config.trust_remote_code, local_files_only=True
    )
    template = load_template(config.template)
    found, room = [], PROOF_TOKENS
    for text in prompts:
        if template is None and not tokenizer.chat_template:
            ids = tokenizer(text)["input_ids"]
        else:
            ids = render_prompt(tokenizer, template, Conversation((Turn("user", text),)))
        found.append(ids[:room])
        room -= len(found[-1])
        if room <= 0:
            break
    return found
