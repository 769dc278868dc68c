"""What ends a run that outlives its viewer all the same: a session manager, a batch job, a container."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

from engine.errors import Problem
from engine.runs.lock import pid_namespace

FIRST_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of Linux: the machine's own, not a container's
LOGIND = ("usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd")  # later ones win


def limits(
    environ: Mapping[str, str] = os.environ,
    *,
    root: Path = Path("/"),
    user: str | None = None,
    namespace: str | None = None,
    pids: tuple[int, int] | None = None,
) -> list[Problem]:
    """Notes on what a detached run does not survive here. `pids`: ours and our parent's, in `namespace`."""
    found = []
    if environ.get("SLURM_JOB_ID"):
        found.append(Problem("ends_with_job", {"job": environ["SLURM_JOB_ID"]}, severity="warning"))
    elif _logind_kills(root, user or _user()):
        found.append(Problem("ends_with_session", severity="warning"))
    contained = (pid_namespace() if namespace is None else namespace) not in ("", FIRST_NAMESPACE)
    if contained and 1 in (pids or (os.getpid(), os.getppid())):
        found.append(Problem("ends_with_container", severity="warning"))
    return found


def _logind_kills(root: Path, user: str) -> bool:
    """Whether logind ends what a login session of this user leaves behind (logind.conf(5), KillUserProcesses)."""
    with contextlib.suppress(OSError):
        session = "/session-" in (root / "proc/self/cgroup").read_text()
        lingers = (root / "var/lib/systemd/linger" / user).exists()
        if not session or lingers:
            return False
        settings = _logind_settings(root)
        excluded = settings.get("KillExcludeUsers", "root").split()
        return settings.get("KillUserProcesses", "no").lower() in ("yes", "true", "on", "1") and user not in excluded
    return False


def _logind_settings(root: Path) -> dict[str, str]:
    """Assignments of logind.conf and its drop-ins, in systemd's order: the file, then drop-ins sorted by name."""
    main = [root / folder / "logind.conf" for folder in LOGIND]
    named = {path.name: path for folder in LOGIND for path in (root / folder / "logind.conf.d").glob("*.conf")}
    found: dict[str, str] = {}
    for path in [*main, *(named[name] for name in sorted(named))]:
        with contextlib.suppress(OSError):
            found |= dict(re.findall(r"^\s*(\w+)\s*=\s*(.*?)\s*$", path.read_text(), re.MULTILINE))
    return found


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
