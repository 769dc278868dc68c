"""The wheel: what is installed elsewhere is the whole tool, templates and samples and tables included."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = {".yaml", ".json", ".txt", ".md", ".jinja", ".mo", ".tcss"}

pytestmark = pytest.mark.slow


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the checkout in an environment of its own, as pip does it for a user."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, ROOT)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a clean environment with the wheel; what it depends on is borrowed from this one."""
    home = tmp_path_factory.mktemp("clean") / "env"
    run(sys.executable, "-m", "venv", "--without-pip", home)
    python = home / "bin" / "python"
    target = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    # A plain path line: site does not read the .pth files of that folder, so no editable install comes along.
    (Path(target) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def clean(folder: Path) -> dict[str, object]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {"cwd": folder, "env": {**environment, "XDG_CACHE_HOME": str(folder), "XDG_STATE_HOME": str(folder)}}


def test_everything_of_the_three_packages_is_inside(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(file.relative_to(ROOT))
        for package in ("engine", "tui", "templates")
        for file in (ROOT / package).rglob("*")
        if file.suffix in {".py", *DATA} and "__pycache__" not in file.parts
    }
    wanted |= {f"templates/failures/{page.name}" for page in (ROOT / "docs" / "failures").glob("*.md")}  # by a link
    assert {"engine/config/keys.yaml", "templates/samples/identity.json", "templates/chat/qwen.yaml"} <= wanted
    assert "templates/failures/out-of-memory.md" in wanted
    assert wanted - inside == set()
    assert not [name for name in inside if name.startswith(("tests/", "benchmarks/", "docs/")) or ".pyc" in name]
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_the_installed_tool_runs_from_anywhere(installed: Path, tmp_path: Path) -> None:
    from engine import __version__

    tool = installed / "sft-wizard"
    origin = run(installed / "python", "-P", "-c", "import engine; print(engine.__file__)", **clean(tmp_path)).strip()
    assert Path(origin).is_relative_to(installed.parent)
    assert run(tool, "--version", **clean(tmp_path)).strip() == f"sft-wizard {__version__}"
    assert str(tmp_path / "mine" / "config.yaml") in run(tool, "new", tmp_path / "mine", **clean(tmp_path))


def test_the_installed_tool_has_the_pages_on_failures(installed: Path, tmp_path: Path) -> None:
    """Where there is no docs/ beside it."""
    assert "── Out of memory" in run(installed / "sft-wizard", "explain", "out-of-memory", **clean(tmp_path))


def test_the_installed_tool_speaks_chinese(installed: Path, tmp_path: Path) -> None:
    """The compiled catalogue is found inside the package."""
    script = "from tui.words import _, set_language; set_language('zh'); print(_('yes') == '\u662f')"
    assert run(installed / "python", "-P", "-c", script, **clean(tmp_path)).strip() == "True"


def test_a_folder_named_engine_in_the_users_project_is_not_ours(installed: Path, tmp_path: Path) -> None:
    """Many projects have one; neither the tool nor its workers may import it."""
    for name in ("engine", "tui", "templates", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    run(installed / "sft-wizard", "new", tmp_path / "mine", **clean(tmp_path))


@pytest.mark.model
def test_the_installed_tool_counts_the_tokens_of_its_sample(
    installed: Path, tmp_path: Path, builtin_model: Path
) -> None:
    """--dry-run starts a worker, which needs templates, model and tokenizer in the clean environment."""
    run(installed / "sft-wizard", "new", tmp_path / "mine", "--model", builtin_model, **clean(tmp_path))
    shown = run(installed / "sft-wizard", "--replay", tmp_path / "mine" / "config.yaml", "--dry-run", **clean(tmp_path))
    assert "steps: train, merge, answers" in shown
    assert "optimiser steps:" in shown
