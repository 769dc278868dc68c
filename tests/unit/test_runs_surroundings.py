"""What would end a detached run is said when it is started, not found out the next morning."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs.surroundings import FIRST_NAMESPACE, limits

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
SERVICE = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope\n"


def codes(root: Path, environ: dict[str, str] | None = None, **options: object) -> list[str]:
    found = limits(environ or {}, root=root, user="ann", **{"namespace": FIRST_NAMESPACE, "pids": (50, 1), **options})  # type: ignore[arg-type]
    return [problem.code for problem in found]


def machine(root: Path, *, cgroup: str = SESSION, files: dict[str, str] | None = None, linger: bool = False) -> Path:
    for name, text in {"proc/self/cgroup": cgroup, **(files or {})}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if linger:
        (root / "var/lib/systemd/linger").mkdir(parents=True)
        (root / "var/lib/systemd/linger/ann").touch()
    return root


YES = {"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"}


def test_a_machine_without_limits_says_nothing(tmp_path: Path) -> None:
    assert codes(tmp_path) == []
    assert codes(machine(tmp_path)) == []


@pytest.mark.parametrize(
    "files",
    [
        YES,
        {"etc/systemd/logind.conf": "[Login]\n KillUserProcesses = TRUE \n"},
        {"usr/lib/systemd/logind.conf.d/10-kill.conf": "[Login]\nKillUserProcesses=1\n"},
        {
            "etc/systemd/logind.conf": "KillUserProcesses=no\n",
            "etc/systemd/logind.conf.d/a.conf": "KillUserProcesses=on\n",
        },
    ],
    ids=["file", "spaces", "drop-in", "drop-in wins"],
)
def test_a_login_manager_that_kills_is_told(tmp_path: Path, files: dict[str, str]) -> None:
    assert codes(machine(tmp_path, files=files)) == ["ends_with_session"]


@pytest.mark.parametrize(
    "files",
    [
        {"etc/systemd/logind.conf": "#KillUserProcesses=yes\n"},
        {"etc/systemd/logind.conf": "KillUserProcesses=yes\nKillExcludeUsers=root ann\n"},
        {"usr/lib/systemd/logind.conf.d/a.conf": "KillUserProcesses=yes\n", "etc/systemd/logind.conf.d/a.conf": "\n"},
        {
            "etc/systemd/logind.conf": "KillUserProcesses=yes\n",
            "run/systemd/logind.conf.d/z.conf": "KillUserProcesses=no\n",
        },
    ],
    ids=["comment", "excluded", "masked drop-in", "drop-in wins"],
)
def test_one_that_does_not_kill_is_not_blamed(tmp_path: Path, files: dict[str, str]) -> None:
    assert codes(machine(tmp_path, files=files)) == []


def test_outside_of_the_session_or_with_lingering_a_run_lives_on(tmp_path: Path) -> None:
    """After systemd-run --user --scope, or loginctl enable-linger, the advice has been taken."""
    assert codes(machine(tmp_path / "a", files=YES, cgroup=SERVICE)) == []
    assert codes(machine(tmp_path / "b", files=YES, linger=True)) == []


def test_a_batch_job_is_told_before_the_session(tmp_path: Path) -> None:
    assert codes(machine(tmp_path, files=YES), {"SLURM_JOB_ID": "42"}) == ["ends_with_job"]


@pytest.mark.parametrize(
    ("namespace", "pids", "expected"),
    [
        ("pid:[7]", (1, 0), ["ends_with_container"]),  # the container's own command
        ("pid:[7]", (12, 1), ["ends_with_container"]),  # started by it
        ("pid:[7]", (12, 9), []),
        ("pid:[7]", (12, 0), []),  # docker exec
        ("", (12, 1), []),
    ],
)
def test_a_container_ends_with_its_command(
    tmp_path: Path, namespace: str, pids: tuple[int, int], expected: list[str]
) -> None:
    assert codes(tmp_path, namespace=namespace, pids=pids) == expected
