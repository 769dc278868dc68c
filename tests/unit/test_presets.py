"""Presets: what ships, the user's own folder, and the one that is recommended."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config.fates import status
from engine.errors import ConfigError, Problem
from engine.hardware import GIB, Gpu, Hardware
from engine.memory.job import Estimate, Parts, StepPlan
from engine.memory.presets import (
    Preset,
    find_preset,
    imagined,
    load_presets,
    preset_folder,
    presets,
    recommend,
    shipped_presets,
)
from engine.messages import render

SHIPPED = {preset.name: preset for preset in shipped_presets()}
GOOD = "memory_gb: 30\nsettings:\n  cutoff_len: 3000\n"


def gpu(free: float, name: str = "Card") -> Hardware:
    return Hardware((Gpu(index=0, uuid="GPU-1", name=name, total=200 * GIB, free=int(free * GIB)),))


def needs(gib: float) -> Estimate:
    parts = Parts(weights=int(gib * GIB), trained=0, activations=0, head=0, reserve=0)
    return Estimate("fast", parts, StepPlan(1024), 0.1)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a file into the user's own folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def write(name: str, text: str) -> Path:
        path = tmp_path / "config/sft-wizard/presets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_what_ships_and_in_which_order() -> None:
    """Those that memory may choose by their memory, then SAGE's."""
    assert [preset.name for preset in shipped_presets()] == [
        *("cpu", "8gb", "12gb", "16gb", "24gb", "40gb", "80gb", "141gb"),
        *("minimal", "rtx_3060", "rtx_4090", "a100"),
    ]
    guide = {name for name, preset in SHIPPED.items() if preset.origin == "llamafactory guide"}
    assert guide == {"8gb", "16gb", "24gb"}
    assert all(preset.reason.endswith(".") and preset.title for preset in SHIPPED.values())
    assert {name for name, preset in SHIPPED.items() if not preset.automatic} == {
        *("minimal", "rtx_3060", "rtx_4090", "a100")
    }


def test_the_page_of_presets_has_their_figures() -> None:
    """docs/presets.md: | name | memory | samples × added up | cutoff_len | rank | … |"""
    page = (Path(__file__).parents[2] / "docs" / "presets.md").read_text(encoding="utf-8")
    rows = {cells[1]: cells for line in page.splitlines() if len(cells := [one.strip() for one in line.split("|")]) > 7}
    for name, preset in SHIPPED.items():
        cells, get = rows[name], preset.setting
        batch = f"{get('per_device_train_batch_size')} × {get('gradient_accumulation_steps')}"
        wanted = {batch, str(get("cutoff_len"))}
        if preset.automatic:
            memory = f"{preset.memory_gb:g} GB" if preset.memory_gb else "none"
            wanted |= {
                memory,
                str(get("lora_rank")),
                preset.origin.replace("llamafactory guide", "LLaMA-Factory's guide"),
            }
        else:
            wanted |= {get("optim"), f"{get('lora_rank')}, {get('lora_alpha')}"}
        assert wanted <= set(cells), name


@pytest.mark.parametrize("preset", shipped_presets(), ids=lambda preset: preset.name)
def test_a_presets_settings_are_keys_that_are_implemented(preset: Preset) -> None:
    assert {status(name) for name in preset.settings} <= {"implemented", "passed"}


@pytest.mark.parametrize(
    ("name", "bits", "length", "batch", "times", "checkpointing", "optimiser", "rank", "dtype"),
    [
        ("minimal", 4, 512, 1, 32, True, "paged_adamw_8bit", 4, "fp16"),
        ("rtx_3060", 8, 1024, 1, 16, True, "paged_adamw_8bit", 8, "fp16"),
        ("rtx_4090", None, 2048, 4, 4, False, "adamw_torch", 8, "fp16"),
        ("a100", None, 4096, 8, 2, False, "adamw_torch", 8, "bf16"),
    ],
)
def test_sages_four_are_as_in_its_preset_configs(
    name: str,
    bits: int | None,
    length: int,
    batch: int,
    times: int,
    checkpointing: bool,
    optimiser: str,
    rank: int,
    dtype: str,
) -> None:
    """intellistream/SAGE, finetune/config.py: PresetConfigs over the defaults of TrainingConfig and LoRAConfig."""
    settings = dict(SHIPPED[name].settings)
    assert settings.pop("quantization_bit", None) == bits
    assert settings == {
        "cutoff_len": length,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": times,
        "disable_gradient_checkpointing": not checkpointing,
        "optim": optimiser,
        "lora_rank": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.05,
        "lora_target": "q_proj,v_proj,k_proj,o_proj",
        dtype: True,
        "learning_rate": 5e-5,
        "num_train_epochs": 3,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
    }


def test_more_memory_never_means_less() -> None:
    """Tokens of a micro-batch and the rank grow with the memory; a step has eight samples throughout."""
    steps = [preset for preset in shipped_presets() if preset.automatic and preset.on_gpu]
    batches = [preset.setting("per_device_train_batch_size") for preset in steps]
    times = [preset.setting("gradient_accumulation_steps") for preset in steps]
    assert {batch * count for batch, count in zip(batches, times, strict=True)} == {8}
    tokens = [batch * preset.setting("cutoff_len") for batch, preset in zip(batches, steps, strict=True)]
    assert tokens == sorted(set(tokens))
    ranks = [preset.setting("lora_rank") for preset in steps]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("free", "name"),
    [
        *((2, "cpu"), (6.9, "cpu"), (7.5, "8gb"), (11.2, "12gb"), (15, "16gb"), (23.5, "24gb"), (31, "24gb")),
        *((39.4, "40gb"), (44.5, "40gb"), (79.1, "80gb"), (94, "80gb"), (139.8, "141gb"), (178, "141gb")),
    ],
)
def test_the_memory_that_is_free_decides(free: float, name: str) -> None:
    """Free, not total: the card has 200 GB. What NVML reports free on an idle card is a little less than its name."""
    found = recommend(gpu(free))
    assert (found.preset.name, found.fits) == (name, None)
    small = ": too little for the presets of GPUs" if name == "cpu" else ""
    assert found.reason.say() == f"{free:.0f} GB are free on Card{small}"


def test_without_a_gpu_it_is_the_cpu() -> None:
    found = recommend(Hardware(()), lambda preset: None)
    assert (found.preset.name, found.reason.say(), found.fits) == ("cpu", "no GPU can be used here", None)


def test_a_job_that_fits_keeps_the_preset_of_the_memory() -> None:
    """24 GB free, 16.56 needed: 7.44 / 24 = 31 % to spare."""
    found = recommend(gpu(24), lambda preset: needs(16.56))
    assert (found.preset.name, found.fits) == ("24gb", True)
    assert found.reason.say() == "24 GB are free on Card: the job fits with 31 % to spare"


def test_a_job_that_does_not_fit_moves_down_to_the_first_that_does() -> None:
    asked = []

    def fits(preset: Preset) -> Estimate | None:
        asked.append(preset.name)
        return needs(18) if preset.setting("cutoff_len") <= 2048 else None

    found = recommend(gpu(24), fits)
    assert asked == ["24gb", "16gb"]
    assert found.preset.name == "16gb"
    assert found.reason.say() == (
        "24 GB are free on Card: the job fits with 25 % to spare; with the preset 24 GB it would not"
    )


def test_where_nothing_fits_it_says_so() -> None:
    found = recommend(gpu(12), lambda preset: None)
    assert (found.preset.name, found.fits) == ("8gb", False)
    assert found.reason.say() == "12 GB are free on Card: too little for this job with any preset"


def test_a_small_model_fits_a_small_gpu() -> None:
    """5 GB are below every preset's memory, yet the job says that it fits."""
    assert recommend(gpu(5), lambda preset: needs(2)).preset.name == "8gb"
    assert recommend(gpu(5)).preset.name == "cpu"


def test_sages_are_only_chosen_by_hand() -> None:
    """rtx_4090 is meant for less memory than 24gb: it would be the next one down."""
    asked = []
    recommend(gpu(200), lambda preset: asked.append(preset.name))
    assert asked == ["141gb", "80gb", "40gb", "24gb", "16gb", "12gb", "8gb"]


@pytest.mark.parametrize(("given", "gib"), [("16", 16), ("11.5", 11.5), (" 24GB ", 24), ("80 gib", 80), ("8g", 8)])
def test_a_gpu_that_is_only_thought_of(given: str, gib: float) -> None:
    best = imagined(given).best()
    assert best and best.free == best.total == gib * GIB


@pytest.mark.parametrize("given", ["", "lots", "-3", "0", "nan", "inf", "1e9", "16,5", "٣", "99999999", "16 MB"])
def test_nonsense_for_a_gpu_is_refused(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        imagined(given)
    (problem,) = caught.value.problems
    assert problem.code == "gpu_memory_wrong" and "--gpu-memory 16" in render(problem)


def test_the_folder_is_the_users(own: Callable[[str, str], Path], tmp_path: Path) -> None:
    assert preset_folder() == tmp_path / "config/sft-wizard/presets"
    assert load_presets() == (shipped_presets(), [])  # it is not there
    assert not (tmp_path / "config").exists()


def test_a_preset_of_ones_own(own: Callable[[str, str], Path]) -> None:
    own("mine.yaml", 'title: "My {box}"\nreason: "Two\\nlines"\n' + GOOD)
    own("notes.txt", "not a preset")
    own(".hidden.yaml", "{")
    found, problems = load_presets()
    mine = next(preset for preset in found if preset.name == "mine")
    assert problems == []
    assert mine == Preset("mine", "My {box}", "Two lines", 30, {"cutoff_len": 3000}, "yours", automatic=False)
    assert mine.heading.say() == "My {box}"  # never read as a template
    assert (mine.setting("cutoff_len"), mine.setting("lora_rank")) == (3000, 8)  # LLaMA-Factory's default
    assert [preset.name for preset in found][7:9] == ["141gb", "mine"]  # before SAGE's
    assert recommend(gpu(35)).preset.name == "24gb"


def test_a_file_that_changes_is_read_again(own: Callable[[str, str], Path]) -> None:
    path = own("mine.yml", GOOD)
    assert "mine" in [preset.name for preset in presets()]
    path.write_text(GOOD.replace("3000", "123"))
    assert next(preset for preset in presets() if preset.name == "mine").settings == {"cutoff_len": 123}
    path.unlink()
    assert "mine" not in [preset.name for preset in presets()]


def test_a_users_preset_takes_the_place_of_a_shipped_one(own: Callable[[str, str], Path]) -> None:
    path = own("24gb.yaml", GOOD)
    found, (note,) = load_presets()
    assert (note.code, note.severity, note.file) == ("preset_replaced", "note", str(path))
    assert len(found) == len(SHIPPED)
    assert recommend(gpu(31)).preset.settings == {"cutoff_len": 3000}
    own("a100.yaml", GOOD)
    assert recommend(gpu(31)).preset.name == "24gb"  # in the place of SAGE's it is still chosen by hand


def test_older_names_of_keys_are_taken(own: Callable[[str, str], Path]) -> None:
    """evaluation_strategy is what transformers called eval_strategy."""
    own("mine.yaml", GOOD + "  val_size: 0.1\n  evaluation_strategy: steps\n  lora_rank:\n")
    found, problems = load_presets()
    settings = next(preset for preset in found if preset.name == "mine").settings
    assert settings == {"cutoff_len": 3000, "val_size": 0.1, "eval_strategy": "steps"}
    assert sorted(problem.code for problem in problems) == ["key_alias", "key_empty"]


def test_one_is_found_by_its_name(own: Callable[[str, str], Path]) -> None:
    path = own("bad.yaml", "memory_gb: 8\nsettings:\n  lora_rank: -3\n")
    assert find_preset("minimal") is SHIPPED["minimal"]
    with pytest.raises(ConfigError) as caught:
        find_preset("minimum")
    assert "minimal" in render(caught.value.problems[0])
    with pytest.raises(ConfigError) as caught:
        find_preset("bad")
    assert render(caught.value.problems[0]).startswith(f"{path}:3: lora_rank")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memory_gb: 8\nsettings:\n  lora_rank: -3\n", [("value_wrong", "lora_rank", 3)]),
        ("memory_gb: lots\nsettings:\n  lora_rank: 8\n", [("value_wrong", "memory_gb", 1)]),
        ("memory_gb: .nan\nsettings: {}\n", [("value_wrong", "memory_gb", 1)]),
        ("memory_gb: 8\nsettings: 5\n", [("value_wrong", "settings", 2)]),
        ("memory_gb: 8\nsetings: {}\n", [("missing_key", "settings", None), ("unknown_key", "setings", 2)]),
        ("memory_gb: 8\nsettings:\n  lora_rnk: 8\n", [("unknown_key", "lora_rnk", 3)]),
        ("memory_gb: 8\nsettings:\n  zzz: 8\n", [("unknown_key_far", "zzz", 3)]),
        ("memory_gb: 8\nsettings:\n  export_dir: there\n", [("key_other_command", "export_dir", 3)]),
        ("memory_gb: 8\nsettings:\n  export_size: 5\n", [("key_other_command", "export_size", 3)]),
        ("memory_gb: 8\nsettings:\n  output_dir: there\n", [("preset_key", "output_dir", 3)]),
        ("memory_gb: 8\nsettings:\n  dataset: a\n", [("preset_key", "dataset", 3)]),
        ("memory_gb: 8\nsettings:\n  hf_hub_token: hf_secret\n", [("preset_key", "hf_hub_token", 3)]),
        ("memory_gb: 8\nsettings:\n  bf16: true\n  fp16: true\n", [("bf16_and_fp16", "fp16", 4)]),
        ("memory_gb: 8\nsettings:\n  use_galore: true\n", [("key_refused", "use_galore", 3)]),
        (
            "memory_gb: 8\norigin: me\nsettings:\n  lora_rank: x\n",
            [("value_wrong", "origin", 2), ("value_wrong", "lora_rank", 4)],
        ),
        ("memory_gb: [\n", [("yaml_syntax", None, 2)]),
        ("- a\n- b\n", [("config_not_mapping", None, 1)]),
        ("", [("config_empty", None, 1)]),
        ("a: !!python/object:os.system x\n", [("yaml_syntax", None, 1)]),
    ],
)
def test_a_bad_one_is_named_and_the_others_work(
    own: Callable[[str, str], Path], text: str, expected: list[tuple[str, str | None, int | None]]
) -> None:
    path = own("bad.yaml", text)
    own("mine.yaml", GOOD)
    found, problems = load_presets()
    assert [preset.name for preset in found if preset.name not in SHIPPED] == ["mine"]
    lines = [(problem.code, problem.key, problem.line) for problem in problems]
    assert sorted(lines, key=str) == sorted(expected, key=str)
    for problem in problems:
        assert str(path) in render(problem) and "{" not in render(problem)
        assert problem.severity == "error" and "hf_secret" not in render(problem)


def test_what_is_no_file_is_told(own: Callable[[str, str], Path], tmp_path: Path) -> None:
    folder = own("mine.yaml", GOOD).parent
    (folder / "folder.yaml").mkdir()
    (folder / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (folder / "latin.yaml").write_bytes(b"title: caf\xe9\n")
    (folder / "mine.yml").write_text(GOOD)
    os.mkfifo(folder / "pipe.yaml")
    found, problems = load_presets()
    assert "mine" in [preset.name for preset in found]
    assert [problem.code for problem in problems] == [
        *("file_is_folder", "file_missing", "not_utf8", "preset_twice", "preset_no_file")
    ]
    assert all(str(folder) in render(problem) for problem in problems)


def test_a_folder_that_is_none_is_told(own: Callable[[str, str], Path]) -> None:
    folder = own("mine.yaml", GOOD).parent
    (folder / "mine.yaml").unlink()
    folder.rmdir()
    folder.write_text("a file")
    found, (problem,) = load_presets()
    assert found == shipped_presets()
    assert isinstance(problem, Problem) and str(folder) in render(problem)
