"""The doctor: what is wrong is told with its remedy, what is private is not told, and it survives what is broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.doctor.check import Check, Diagnosis
from engine.doctor.examine import Sources, examine
from engine.doctor.machine import check_gpus, check_memory, check_processor, nvidia_cards
from engine.doctor.places import Hub, Place, check_hub, check_place, refusal, without_credentials
from engine.doctor.software import OLDEST_PYTHON, check_packages, check_python, own_requirements, packages
from engine.errors import EXIT_ENVIRONMENT, EXIT_OK, Problem
from engine.hardware import GIB, Host, probe
from engine.hardware.torch_build import TorchBuild
from engine.text import Phrase
from tests.unit.nvml_reports import ReportedNvml
from tui.doctorpage import as_dict, check_terminal, page
from tui.term import TerminalProfile
from tui.words import set_language

ROOT = Path(__file__).parents[2]
TOOL = str(Path(sys.executable).with_name("sft-wizard"))
GB = 10**9
TOKEN = "hf_aVerySecretTokenOfSomebody"
HOST = Host("A processor", 8, 32 * GIB, 30 * GIB, 8)


def sources(tmp_path: Path, nvml: ReportedNvml | None = None, **changes: Any) -> Sources:
    """A sound machine with one L4; `changes` breaks it."""
    given: dict[str, Any] = {
        "cwd": tmp_path,
        "environ": {},
        "root": tmp_path,
        "hardware": lambda: probe(nvml or ReportedNvml.of("one_l4"), root=tmp_path),
        "host": lambda: HOST,
        "torch": lambda: TorchBuild("2.13.0", "cuda", (12, 6)),
        "requirements": lambda: ["torch>=2.10", 'liger-kernel>=0.5; extra == "gpu"'],
        "installed": {"torch": "2.13.0"}.get,
        "hub": lambda: Hub(tmp_path / "hub", True, "https://huggingface.co", False),
        "limits": list,
        "free": lambda path: 100 * GB,
        "refusal": lambda path: "",
    }
    return Sources(**given | changes)


def by_id(checks: Sequence[Check], identity: str) -> Check:
    (found,) = (check for check in checks if check.id == identity)
    return found


def said(check: Check) -> str:
    return f"{check.finding} {check.remedy}"


def test_a_sound_machine_has_nothing_to_say(tmp_path: Path) -> None:
    found = examine(sources(tmp_path))
    assert {check.status for check in found.checks} == {"ok"}
    assert found.exit_code == EXIT_OK
    assert len({check.id for check in found.checks}) == len(found.checks)
    assert not [check for check in found.checks if str(check.remedy)]


@pytest.mark.parametrize(
    ("broken", "identity", "status"),
    [
        ({"torch": lambda: TorchBuild("2.13.0+cpu", "cpu")}, "torch", "fail"),
        ({"torch": lambda: TorchBuild("2.13.0", "cuda", (13, 0))}, "torch", "fail"),  # the driver is a 570
        ({"installed": {"torch": "2.9.1"}.get}, "package.torch", "fail"),
        ({"host": lambda: Host("A processor", 8, 4 * GIB, 3 * GIB)}, "memory", "warn"),
        ({"free": lambda path: 0}, "folder.cwd", "fail"),
        ({"refusal": lambda path: "Read-only file system"}, "folder.cwd", "warn"),
        ({"refusal": lambda path: "Read-only file system"}, "folder.state", "fail"),
        (
            {"limits": lambda: [Problem("ends_with_job", {"job": "77"}, severity="warning")]},
            "runs.ends_with_job",
            "warn",
        ),
        ({"hardware": lambda: probe(ReportedNvml.failing("LIB_RM_VERSION_MISMATCH"))}, "gpu", "fail"),
        ({"hardware": lambda: probe(ReportedNvml.failing("LIBRARY_NOT_FOUND"))}, "gpu", "warn"),
    ],
)
def test_what_is_broken_is_told_with_its_remedy(
    broken: dict[str, Any], identity: str, status: str, tmp_path: Path
) -> None:
    found = examine(sources(tmp_path, **broken))
    check = by_id(found.checks, identity)
    assert check.status == status and str(check.remedy)
    assert found.exit_code == (EXIT_ENVIRONMENT if found.count("fail") else EXIT_OK)
    assert (status == "fail") <= (found.exit_code == EXIT_ENVIRONMENT)


def test_a_card_among_others_that_torch_cannot_use(tmp_path: Path) -> None:
    nvml = ReportedNvml.of("mixed")
    nvml.report["cards"][0]["capability"] = [3, 5]
    found = examine(sources(tmp_path, nvml))
    assert by_id(found.checks, "torch").status == "ok"
    assert by_id(found.checks, "torch.0").status == "warn" and found.exit_code == EXIT_OK


def test_without_torch_the_package_is_what_is_missing(tmp_path: Path) -> None:
    found = examine(sources(tmp_path, torch=lambda: None, installed=lambda name: None, hub=lambda: None))
    assert "not installed; >=2.10 is needed" in said(by_id(found.checks, "package.torch"))
    assert "pip install 'torch>=2.10'" in said(by_id(found.checks, "package.torch"))
    assert not [check for check in found.checks if check.id == "torch"]


# Packages


@pytest.mark.parametrize(
    ("installed", "fits"),
    [("2.10.0", True), ("2.13.0+cpu", True), ("2.14.0.dev20260101+cu130", True), ("2.9.9", False), ("unknown", False)],
)
def test_a_version_against_its_floor(installed: str, fits: bool) -> None:
    (found,) = packages(["torch>=2.10"], lambda name: installed)
    assert (found.name, found.floor, found.installed, found.fits, found.extra) == (
        "torch",
        ">=2.10",
        installed,
        fits,
        "",
    )


def test_extras_are_optional_and_those_of_other_systems_left_out() -> None:
    asked = [
        'liger-kernel>=0.5; sys_platform == "linux" and extra == "gpu"',
        'bitsandbytes>=0.49; extra == "gpu"',
        'jieba>=0.42; extra == "predict"',
        'pytest>=8; extra == "dev"',
        'pywin32>=300; sys_platform == "win32"',
        "PyYAML>=6",
    ]
    there = {"PyYAML": "6.0.3", "bitsandbytes": "0.40", "jieba": "0.42.1"}
    checks, facts = check_packages(asked, there.get)
    assert [(check.id, check.status) for check in checks] == [
        ("packages", "ok"),
        ("package.bitsandbytes", "warn"),
        ("packages.optional", "ok"),
    ]
    assert str(checks[2].finding) == "liger-kernel not installed (extra: gpu), jieba 0.42.1"
    assert [one["name"] for one in facts] == ["liger-kernel", "bitsandbytes", "jieba", "PyYAML"]


def test_the_floors_are_those_of_pyproject() -> None:
    """What the doctor compares with is what pip would ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = own_requirements()
    assert asked is not None
    found = {
        one.name.lower().replace("_", "-"): one.floor for one in packages(asked, lambda name: None) if not one.extra
    }
    written = dict(re.fullmatch(r"([\w.-]+?)([=<>].*)", text).groups() for text in project["dependencies"])  # type: ignore[union-attr]
    assert found == {name.lower().replace("_", "-"): floor for name, floor in written.items()}
    assert found["torch"] == ">=2.10" and found["transformers"] == ">=5.3"
    assert project["requires-python"] == ">={}.{}".format(*OLDEST_PYTHON)


def test_an_old_python_is_told() -> None:
    assert check_python().status == "ok"
    old = check_python((9, 9))
    assert old.status == "fail" and "9.9" in str(old.remedy)


def test_a_tool_that_is_not_installed_knows_no_floors() -> None:
    checks, facts = check_packages(None, lambda name: None)
    assert ([check.status for check in checks], facts) == (["warn"], [])


# GPUs


def gpus(name: str, root: Path) -> list[Check]:
    return list(check_gpus(probe(ReportedNvml.of(name), root=root), root))


def test_a_gpu_in_a_line(tmp_path: Path) -> None:
    driver, card = gpus("one_l4", tmp_path)
    assert str(driver.finding) == "NVIDIA 570.86.15, CUDA up to 12.8, GPUs: 1"
    expected = "NVIDIA L4, 22.0 of 22.5 GB free, compute capability 8.9, bf16, fp8, 41 °C, 72 W"
    assert (card.status, str(card.title), str(card.finding)) == ("ok", "GPU 0", expected)


def test_a_busy_gpu_is_marked_with_who_uses_it(tmp_path: Path) -> None:
    checks = gpus("eight_h100", tmp_path)
    assert [check.id for check in checks if check.status == "warn"] == ["gpu.3"]
    assert "59.6 GB used by pid 4242, 60.0 GB" in str(by_id(checks, "gpu.3").finding)
    assert "active NVLinks: 18" in str(by_id(checks, "gpu.0").finding)
    desktop = gpus("mixed", tmp_path)  # 350 MB of a desktop are no matter
    assert {check.status for check in desktop} == {"ok"}


def test_memory_used_by_nobody_we_see(tmp_path: Path) -> None:
    nvml = ReportedNvml.of("one_l4")
    nvml.report["cards"][0]["memory"] |= {"used": 2 * GIB}
    card = by_id(list(check_gpus(probe(nvml, root=tmp_path), tmp_path)), "gpu.0")
    assert card.status == "warn" and "2.0 GB used by processes that cannot be seen" in str(card.finding)


def test_slices_unified_memory_and_old_cards(tmp_path: Path) -> None:
    checks = gpus("mig_a100", tmp_path)
    assert [check.id for check in checks] == ["gpu", "gpu.0:0", "gpu.0:2", "gpu.1"]
    assert by_id(checks, "gpu.0:2").status == "warn"  # 23824 holds nearly all of the slice
    assert "shared with the processor" in said(gpus("gb10", tmp_path)[1])
    nvml = ReportedNvml.of("one_l4")
    nvml.report["cards"][0]["capability"] = [7, 5]
    assert "no bf16: fp16 is used" in said(list(check_gpus(probe(nvml, root=tmp_path), tmp_path))[1])


@pytest.mark.parametrize(
    ("error", "without_card", "with_card"),
    [
        ("LIBRARY_NOT_FOUND", "warn", "fail"),
        ("DRIVER_NOT_LOADED", "warn", "fail"),
        ("NO_PERMISSION", "fail", "fail"),
        ("LIB_RM_VERSION_MISMATCH", "fail", "fail"),
        ("UNKNOWN", "fail", "fail"),
    ],
)
def test_a_card_without_a_driver_is_a_mistake_and_no_card_is_none(
    error: str, without_card: str, with_card: str, tmp_path: Path
) -> None:
    def status() -> tuple[str, str]:
        (check,) = check_gpus(probe(ReportedNvml.failing(error)), tmp_path)
        return check.status, str(check.finding)

    assert status()[0] == without_card
    devices = {"01:00.0": ("0x10de", "0x030200"), "01:00.1": ("0x10de", "0x040300"), "02:00.0": ("0x1002", "0x030000")}
    for place, (vendor, kind) in devices.items():  # a card, its sound, and a card of AMD
        folder = tmp_path / "sys/bus/pci/devices" / place
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "class").write_text(f"{kind}\n")
    assert nvidia_cards(tmp_path) == 1
    assert status()[0] == with_card
    assert "NVIDIA cards on the bus: 1" in status()[1]


def test_a_driver_without_its_cuda_library_fails(tmp_path: Path) -> None:
    """A container for nvidia-smi only: the card is there, and torch would take the processor."""
    nvml = ReportedNvml.of("one_l4")
    nvml.report["cuda"] = {"error": "LIBRARY_NOT_FOUND"}
    checks = list(check_gpus(probe(nvml, root=tmp_path), tmp_path))
    assert [(check.id, check.status) for check in checks] == [("gpu", "ok"), ("gpu.note.0", "fail"), ("gpu.0", "ok")]


def test_gpus_hidden_from_us(tmp_path: Path) -> None:
    (none,) = check_gpus(probe(ReportedNvml.of("one_l4"), "", root=tmp_path), tmp_path)
    assert (none.status, "CUDA_VISIBLE_DEVICES=" in str(none.finding)) == ("warn", True)
    some = list(check_gpus(probe(ReportedNvml.of("mixed"), "1", order="", root=tmp_path), tmp_path))
    assert "hidden by CUDA_VISIBLE_DEVICES: 1" in str(some[0].finding)
    assert [check.id for check in some] == ["gpu", "gpu.note.0", "gpu.1"]  # the cards differ: which is 1?


# Processor, memory, folders, hub


def test_the_limits_of_a_container_are_named() -> None:
    host = Host("A processor", 2, 8 * GIB, 7 * GIB, 64, 1.5, 8 * GIB, ("avx2", "amx_bf16"))
    assert (
        str(check_processor(host).finding) == "A processor, 2 of 64 cores (the container's limit is 1.5), avx2 amx_bf16"
    )
    assert str(check_memory(host).finding) == "7.0 of 8.0 GB free (the container's limit)"


@pytest.mark.parametrize(("free", "status"), [(0.9 * GB, "fail"), (1.1 * GB, "warn"), (21 * GB, "ok")])
def test_space_on_a_disk(free: float, status: str, tmp_path: Path) -> None:
    place = Place("cwd", Phrase("Working folder"), tmp_path, GB, 20 * GB, False)
    check = check_place(place, lambda path: int(free), refusal)
    assert check.status == status
    assert bool(str(check.remedy)) is (status != "ok")
    assert f"{free / GIB:.1f} GB free at" in str(check.finding), "GiB, as in an estimate"
    refused = check_place(place, lambda path: int(free), lambda path: "Read-only file system")
    assert str(refused.remedy) == "Make it writable. Or start in another folder."


def test_a_folder_that_cannot_be_written_leaves_a_reason_and_no_trace(tmp_path: Path) -> None:
    assert refusal(tmp_path / "new" / "deeper") == ""
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "below") != ""
    assert refusal(Path("/proc")) != ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@mirror.example:8443/hf?key=secret#x", "https://mirror.example:8443/hf"),
        ("https://huggingface.co", "https://huggingface.co"),
        ("http://[broken", "?"),
    ],
)
def test_an_endpoint_is_shown_without_what_is_private(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


@pytest.mark.parametrize(
    ("endpoint", "offline", "status"),
    [("https://huggingface.co", False, "ok"), ("https://mirror", True, "warn"), ("hf-mirror.com", False, "fail")],
)
def test_the_hub(endpoint: str, offline: bool, status: str, tmp_path: Path) -> None:
    (check,) = check_hub(Hub(tmp_path, False, endpoint, offline))
    assert check.status == status
    assert endpoint in str(check.finding) and "no token" in str(check.finding)


# The terminal, the page


def profile(term: str = "xterm-256color", *, encoding: str = "utf-8", stdin: bool = True, **environ: str) -> Any:
    return TerminalProfile.of({"TERM": term, **environ}, stdin=stdin, stderr=True, encoding=encoding)


@pytest.mark.parametrize(
    ("terminal", "size", "status", "told"),
    [
        (profile(), (80, 24), "ok", "256 colours, UTF-8"),
        (profile(COLORTERM="truecolor"), (200, 60), "ok", "all colours"),
        (profile(NO_COLOR="1"), (80, 24), "ok", "no colours"),
        (profile("dumb"), (80, 24), "warn", "plain prompts"),
        (profile(ACCESSIBLE="1"), (80, 24), "ok", "ACCESSIBLE"),
        (profile(), (79, 24), "warn", "too small"),
        (profile(), (80, 23), "warn", "too small"),
        (profile(encoding="ascii"), (80, 24), "warn", "LC_ALL=C.UTF-8"),
        (profile("linux"), (80, 24), "ok", "ASCII"),
        (profile(stdin=False), (80, 24), "ok", "none here"),
    ],
)
def test_what_a_terminal_can(terminal: TerminalProfile, size: tuple[int, int], status: str, told: str) -> None:
    check = check_terminal(terminal, size, {"TERM": "linux" if told == "ASCII" else "xterm-256color"})
    assert check.status == status and told in said(check)


def diagnosis(tmp_path: Path, **broken: Any) -> Diagnosis:
    return examine(sources(tmp_path, **broken))


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_is_aligned_and_says_in_words_how_it_is(width: int, tmp_path: Path) -> None:
    found = diagnosis(tmp_path, free=lambda path: 0, torch=lambda: TorchBuild("2.13.0+cpu", "cpu"))
    lines = [line.plain for line in page(found, width)]
    assert max(map(len, lines)) <= width
    starts = {re.match(r"(?:ok|warning|FAILED)? *", line).end() for line in lines[:-2] if line[:1] != " "}  # type: ignore[union-attr]
    assert starts == {len("FAILED") + 2}
    assert sum(line.startswith("FAILED") for line in lines) == found.count("fail") > 0
    assert lines[-1] == f"Failed: {found.count('fail')}. Warnings: 0. Fine: {found.count('ok')}."
    assert any("-> Reinstall torch" in line for line in lines)


def test_foreign_text_cannot_touch_the_screen(tmp_path: Path) -> None:
    nvml = ReportedNvml.of("one_l4")
    nvml.report["cards"][0]["name"] = "evil\x1b[2J\n\u202ecard"
    text = "\n".join(line.plain for line in page(examine(sources(tmp_path, nvml)), 80))
    assert "evil" in text and not {"\x1b", "\u202e"} & set(text)


def test_json_holds_all_that_is_known(tmp_path: Path) -> None:
    raw = json.loads(json.dumps(as_dict(diagnosis(tmp_path, free=lambda path: 0))))
    assert raw["exit_code"] == EXIT_ENVIRONMENT and raw["counts"]["fail"] >= 1
    assert set(raw["checks"][0]) == {"id", "status", "title", "finding", "remedy"}
    assert raw["hardware"]["gpus"][0]["capability"] == [8, 9]
    assert raw["torch"] == {"version": "2.13.0", "kind": "cuda", "cuda": [12, 6]}
    assert raw["hub"]["token"] is True and raw["host"]["cores"] == 8
    assert raw["packages"][0]["name"] == "torch"


def test_programs_read_english_whatever_the_language(tmp_path: Path) -> None:
    set_language("zh")
    assert as_dict(diagnosis(tmp_path))["checks"][0]["title"] == "Python"  # type: ignore[index]


def test_every_check_stands_in_the_docs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    checks = [*examine(sources(tmp_path)).checks, check_terminal(profile(), (80, 24), {})]
    general = {"gpu.0": "gpu.N"}
    assert [check.id for check in checks if f"`{general.get(check.id, check.id)}`" not in text] == []


# The command


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    plain = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "SFT_WIZARD_LANG": "en", **environ}
    return subprocess.run(
        [TOOL, "doctor", *arguments], cwd=folder, env=plain, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_token_is_never_shown(arguments: list[str], tmp_path: Path) -> None:
    """Its output is what people paste into an issue."""
    mirror = f"https://somebody:{TOKEN}@mirror.example"
    done = run(tmp_path, *arguments, HF_TOKEN=TOKEN, HF_ENDPOINT=mirror, WANDB_API_KEY=TOKEN)
    assert done.returncode == EXIT_OK, done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    if arguments:
        hub = json.loads(done.stdout)["hub"]
        assert hub == hub | {"token": True, "endpoint": "https://mirror.example"}
    assert list(tmp_path.iterdir()) == []  # nothing is left behind, not even folders of our own


@pytest.mark.parametrize("visible", ["", "-1", "all", "0,0", "GPU-", "MIG-x,é", "9" * 40])
def test_odd_values_of_cuda_visible_devices(visible: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--json", CUDA_VISIBLE_DEVICES=visible, TERM="dumb", LC_ALL="C")
    raw = json.loads(done.stdout)
    assert raw["environment"]["CUDA_VISIBLE_DEVICES"] == visible
    assert done.returncode == raw["exit_code"] and "Traceback" not in done.stderr


def test_it_needs_no_torch_and_no_terminal(tmp_path: Path) -> None:
    """A broken torch is one of the things that it is asked about."""
    code = (
        "import sys; from engine.doctor.examine import Sources, examine; examine(Sources.here()); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'torch', 'transformers', 'peft', 'accelerate', 'datasets', 'pyarrow', 'textual'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_that_was_deleted_under_the_shell(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", f"cd {gone} && rmdir {gone} && {TOOL} doctor --json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["checks"], done.stderr
