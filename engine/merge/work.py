"""The merge step of a run: what is there is moved aside, the merge streams, and the result is proved."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import psutil

from engine.config.schema import MergeConfig
from engine.data.conversation import Conversation, Turn
from engine.data.encode import render_prompt
from engine.errors import Problem, RunError
from engine.fingerprints import merge_fingerprint
from engine.hardware import host
from engine.merge.asked import check_request, kept_float32, quantisation
from engine.merge.forecast import forecast_all, steps_bytes
from engine.merge.pissa import ordinary
from engine.merge.positions import stretched_base
from engine.merge.prove import Proof, prove, prove_copy
from engine.merge.quantised import Quantisation
from engine.merge.safetensors_io import Checkpoint
from engine.merge.small_files import SmallFiles, small_files
from engine.merge.stage import scratch
from engine.merge.stream import MergeReport, Saving, copy_model, merge_adapter
from engine.outputs import mark_finished, mark_started, move_aside, standing
from engine.runs.worker import Work

PROOF_TOKENS = 64  # in all: enough to tell a mistake from rounding
MEMORY_SHARE = 0.5  # of what is free


def run(work: Work) -> None:
    """Merge what work.config["merge"] says. Raises StopRequested with nothing left behind."""
    spec = work.config["merge"]
    config = msgspec.convert(spec["config"], MergeConfig)
    check_request(config)
    base, out = Path(spec["model_path"]), Path(config.export_dir)
    adapters = [Path(adapter) for adapter in config.adapters]
    work.lock(out)
    fingerprint = merge_fingerprint(config, adapters, base)
    state = standing(out, fingerprint)
    if state == "finished" and not spec.get("fresh"):
        work.events.write("log", what="kept", path=str(out))
    else:
        if state not in ("absent", "foreign"):
            target = move_aside(out)
            work.warn(Problem("moved_aside", {"folder": str(out), "target": str(target)}, severity="note"))
        _Export(work, config, base, out, fingerprint, spec["prompts"]).run(adapters)
        mark_finished(out, fingerprint, work.run.path)
    work.made("merged", out)


class _Export:
    """One merged model. `claim` marks the folder as ours, though not yet proved."""

    def __init__(self, work: Work, config: MergeConfig, base: Path, out: Path, fingerprint: str, prompts: list[str]):
        self.work, self.config, self.base, self.out, self.prompts = work, config, base, out, prompts
        self.claim: Callable[[], None] = lambda: mark_started(out, fingerprint, work.run.path)

    def run(self, adapters: list[Path]) -> None:
        config, work = self.config, self.work
        work.phase("merging")
        own = adapters[-1] if adapters and (adapters[-1] / "tokenizer_config.json").exists() else None
        small = small_files(config, self.base, own)
        for note in [*small.notes, *kept_float32(config, self.base)]:
            work.warn(note)
        expected = forecast_all(config, self.base, adapters)
        work.events.write("log", what="merge", **asdict(expected), memory_free=host().free, dtype=config.dtype)
        saving = Saving(
            progress=lambda done, total: work.progress(done, total, "bytes"),
            should_stop=work.should_stop,
            tokenizer_from=own,
            max_shard_bytes=config.shard_bytes,
            dtype=config.dtype,
            trust_remote_code=config.trust_remote_code,
            finish=small.write,
            on_note=work.warn,
        )
        if not adapters:
            self._merged(copy_model(self.base, self.out, saving))
            self._proved(prove_copy(self.base, self.out, dtype=config.dtype))
            return
        used, notes = quantisation(config, adapters[0])
        for note in notes:
            work.warn(note)
        if len(adapters) > 1:
            needed = steps_bytes(config, self.base, adapters)
            params = {"count": len(adapters), "folder": str(self.out.parent), "needed_gb": round(needed / 1e9, 2)}
            work.warn(Problem("merge_several", params, severity="note"))
        with scratch(self.out) as room, tempfile.TemporaryDirectory() as links:  # a disk may know no symbolic links
            self._one_after_the_other(
                adapters, room, Path(links), saving, small, Quantisation.of(used) if used else None
            )

    def _one_after_the_other(
        self,
        adapters: list[Path],
        room: Path,
        links: Path,
        saving: Saving,
        small: SmallFiles,
        onto: Quantisation | None,
    ) -> None:
        """Steps before the last are written in 32 bits, so that the sum is rounded once, and proved like the last."""
        with Checkpoint.of_model(self.base) as checkpoint:
            stored = {name: tensor.dtype for name, tensor in checkpoint.tensors.items()}
        base, types = self.base, None
        for number, given in enumerate(adapters):
            last = number == len(adapters) - 1
            before, base = base, stretched_base(base, given, links / f"base-{number}")
            adapter = ordinary(given, room / f"adapter-{number}", base, self.config.trust_remote_code)
            out = self.out if last else room / f"merged-{number}"
            how = saving if last else replace(saving, dtype="float32", tokenizer_from=None, finish=lambda folder: None)
            report = merge_adapter(base, adapter, out, how, quantisation=onto, types=types)
            if last:
                self._merged(report)
            self.work.phase("proving")
            proof = prove(
                base,
                adapter,
                out,
                prompts=_prompt_ids(small, self.prompts),
                memory_limit_bytes=int(psutil.virtual_memory().available * MEMORY_SHARE),
                dtype=how.dtype,
                trust_remote_code=self.config.trust_remote_code,
                quantisation=onto,
                types=types,
            )
            self._proved(proof)
            if not last:
                self.work.phase("merging")
            if before.parent == room:
                shutil.rmtree(before)
            base, types, onto = out, stored, None

    def _merged(self, report: MergeReport) -> None:
        figures = {name: getattr(report, name) for name in ("tensors", "changed", "bytes", "seconds")}
        self.work.events.write("log", what="merged", **figures)
        self.claim()

    def _proved(self, proof: Proof) -> None:
        for note in proof.notes:
            if note.severity != "error":
                self.work.warn(note)
        self.work.events.write("proof", **{n: value for n, value in asdict(proof).items() if n != "notes"})
        if not proof.passed:
            raise RunError(*[note for note in proof.notes if note.severity == "error"])


def _prompt_ids(small: SmallFiles, prompts: list[str]) -> list[list[int]]:
    """The prompts as the model is asked them, cut so that all together stay near PROOF_TOKENS."""
    tokenizer: Any = small.tokenizer
    if tokenizer is None:
        return []
    found, room = [], PROOF_TOKENS
    for text in prompts:
        if small.template is None and not tokenizer.chat_template:
            ids = tokenizer(text)["input_ids"]
        else:
            ids = render_prompt(tokenizer, small.template, Conversation((Turn("user", text),)))
        found.append(ids[:room])
        room -= len(found[-1])
        if room <= 0:
            break
    return found
