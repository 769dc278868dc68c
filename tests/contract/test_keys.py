"""Every key of LLaMA-Factory 0.8 to 0.9.5 and transformers 4.45 to 5.6, as recorded from their releases, has one fate.

data/llamafactory_keys.tsv: fields of hparams/*.py in llamafactory 0.8.3, 0.9.0 to 0.9.5, and of training_args.py and
training_args_seq2seq.py in transformers 4.45.2, 4.57.3 and 5.6.0. Keys that came later or went before are named so.
"""

from __future__ import annotations

import ast
import csv
from pathlib import Path
from typing import Any

import pytest

from engine.config.checking import check
from engine.config.document import markdown
from engine.config.explaining import explain
from engine.config.fates import entries, fates, key_table, known_keys, refused_value, status
from engine.config.reading import dump, parse_document, read_document
from engine.config.schema import MergeConfig, TrainConfig, fields
from engine.errors import ConfigError
from engine.memory.presets import Preset, shipped_presets
from engine.project import ProjectAnswers, apply_project, plan_project
from engine.samples import samples
from tests.e2e.examples import examples, rebuilt

FILE = Path(__file__).parent / "data" / "llamafactory_keys.tsv"
with FILE.open(encoding="utf-8", newline="") as lines:
    RECORDED = {row["key"]: row for row in csv.DictReader(lines, delimiter="\t")}
TRAINING = {"TrainingArguments", "Seq2SeqTrainingArguments", "RayArguments", "Fp8Arguments", "ProfilerArguments"}
STATUSES = {"implemented", "passed", "alias", "no effect", "not supported"}
# Ours on purpose: what a wizard's user wants, or what transformers 5 changed since.
DIFFERENT = {
    "do_train": "a train config trains",
    "logging_steps": "a screen that moves",
    "report_to": "curves without asking",
    "output_dir": "required",
    "model_name_or_path": "required",
    "disable_gradient_checkpointing": "on a CPU it only costs time",
}


def literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_key_has_one_status(name: str) -> None:
    places = (name in fields(TrainConfig) or name in fields(MergeConfig), *(name == other for other, _ in entries()))
    assert sum(places) == 1
    assert status(name) in STATUSES


def test_the_record_is_whole() -> None:
    """346 keys of 0.9.5 on transformers 5.6, and those before and after."""
    assert len(RECORDED) == 413
    assert sum(row["default in 0.9.5 on transformers 5.6"] != "-" for row in RECORDED.values()) == 346
    assert {"visual_inputs", "reserved_label_len", "placement_strategy", "cpu_infer", "no_cuda"} <= RECORDED.keys()


def test_a_default_that_is_spelt_out_asks_for_nothing() -> None:
    """Else a file that names every default, as LLaMA-Factory's web page writes it, would be full of notes."""
    wrong = []
    for name, row in RECORDED.items():
        text = row["default in 0.9.5 on transformers 5.6"]
        if text in ("-", "", "(factory)") or name in DIFFERENT:
            continue
        if name in fields(TrainConfig):
            there = fields(TrainConfig)[name].default
        elif name in fates() and fates()[name].status in ("no effect", "not supported"):
            there = fates()[name].default
        else:
            continue
        if there != literal(text) and not (there in (None, "") and literal(text) in (None, "")):
            wrong.append((name, there, literal(text)))
    assert wrong == []


def test_no_key_is_ignored_in_silence() -> None:
    """Whatever is written is used, passed on, kept for the environment, noted, or refused."""
    silent = []
    for name in known_keys():
        try:
            text = f"model_name_or_path: m\ndataset: d\noutput_dir: o\n{dump({name: ['strange']})}"
            found = check(parse_document(text, "f.yaml"), TrainConfig)
        except ConfigError:
            continue
        used = getattr(found.config, name, None) == ["strange"] or name in found.passed or name in found.secrets
        if not used and name not in {note.key for note in found.notes}:
            silent.append(name)
    assert silent == []


def test_every_reason_and_advice_is_a_clause() -> None:
    """They are put into sentences: `… is not supported: {reason}.` and `Instead: {instead}.`"""
    for part in ("no_effect", "refused", "refused_values"):
        for group in key_table()[part]:
            assert {"why", "instead"} <= group.keys() or part == "no_effect"
            for clause in (group[word] for word in ("why", "instead", "with") if word in group):
                assert 2 <= len(clause) <= 130 and not clause.endswith("."), clause


def test_what_a_key_waits_for_is_a_setting_and_not_words() -> None:
    """`with` reaches a person as it stands, in every language: `only {switch} would use it`. Words go into `why`."""
    for group in key_table()["no_effect"]:
        assert ("with" in group) != ("why" in group)
        name, _, value = group.get("with", "streaming").partition(": ")
        assert name in known_keys() and " " not in value, group["with"]


def test_refused_reasons_are_each_their_own() -> None:
    """One sentence for all would leave a person with nothing to do."""
    reasons = [group["why"] for group in key_table()["refused"]]
    assert len(set(reasons)) == len(reasons) >= 25


@pytest.mark.parametrize("entry", key_table()["refused_values"], ids=lambda entry: f"{entry['key']} {entry['values']}")
def test_a_refused_value_belongs_to_a_key_that_is_there(entry: dict[str, Any]) -> None:
    """A value that the schema takes as well would never be refused, or never be taken."""
    assert entry["key"] in fields(TrainConfig) or entry["key"] in fields(MergeConfig)
    assert all(refused_value(entry["key"], value) for value in entry["values"])


def test_the_page_of_keys_is_the_table() -> None:
    """docs/keys.md is written by `python -m engine.config.document`."""
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert page == markdown()
    assert [name for name in RECORDED if f"| `{name}`" not in page] == []


@pytest.mark.parametrize("path", examples())
def test_llamafactorys_examples_have_no_key_that_is_unknown_or_wrong(path: str, tmp_path: Path) -> None:
    """Each runs as far as its keys go, or is refused with a reason of its own."""
    file = tmp_path / "example.yaml"
    file.write_text(dump(rebuilt(path, examples()[path])))
    found = explain(file)
    assert found.kind == {"predict": "train", "export": "merge"}.get(examples()[path]["kind"], examples()[path]["kind"])
    wrong = [(key.key, key.outcome) for key in found.keys if key.outcome in ("unknown", "wrong")]
    assert wrong == []
    assert found.rest == []
    refused = {key.key for key in found.keys if key.outcome == "refused"}
    assert bool(refused) != found.runs
    assert refused <= REFUSED_IN_EXAMPLES, refused


# What 0.9.5's examples ask for and this version does not have.
REFUSED_IN_EXAMPLES = {
    *("use_adam_mini", "use_apollo", "use_asft_loss", "use_badam", "use_galore", "use_llama_pro", "use_kt", "fp8"),
    *("mixture_of_depths", "finetuning_type", "stage", "export_quantization_bit"),
    *("apply_rope_fusion", "bias_activation_fusion", "pipeline_model_parallel_size", "tensor_model_parallel_size"),
    *("sequence_parallel", "use_distributed_optimizer", "expert_model_parallel_size", "moe_grouped_gemm"),
    *("moe_token_dispatcher_type", "overlap_grad_reduce", "overlap_param_gather", "recompute_granularity"),
}


@pytest.mark.parametrize("preset", shipped_presets(), ids=lambda preset: preset.name)
@pytest.mark.parametrize("name", samples())
def test_what_our_scaffold_writes_llamafactory_takes(name: str, preset: Preset, tmp_path: Path) -> None:
    """Each key is one of 0.9.5's own; export takes none of TrainingArguments, which would end it there."""
    given = ProjectAnswers(folder=tmp_path, model="smollm2-135m", sample=name)
    apply_project(given, plan_project(given, preset))
    train, merge = (read_document(tmp_path / f"configs/{kind}_config.yaml").values for kind in ("train", "merge"))
    assert train["stage"] == "sft" and merge["export_dir"]
    column = "default in 0.9.5 on transformers 5.6"
    assert [key for key in (*train, *merge) if RECORDED.get(key, {column: "-"})[column] == "-"] == []
    assert [key for key in merge if RECORDED[key]["class"] in TRAINING] == []
    assert explain(tmp_path).runs
