"""Starting workers: a session of their own, output to a file, never a pipe that could fill up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from engine.runs.folder import RunFolder


def python_module(module: str) -> list[str]:
    """Command that runs a module of ours; -P keeps a folder named `engine` in the user's project out of the way."""
    return [sys.executable, "-P", "-m", module]


def worker_environment(secrets: dict[str, str] | None = None) -> dict[str, str]:
    """The caller's environment, made safe for workers and their children. Secrets travel here and nowhere else."""
    environment = {
        **os.environ,
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "TRANSFORMERS_VERBOSITY": os.environ.get("TRANSFORMERS_VERBOSITY", "warning"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",  # models are fetched before a worker starts
        "MPLBACKEND": "Agg",
    }
    for name in ("hf_hub_token", "hub_token"):
        if secrets and name in secrets:
            environment["HF_TOKEN"] = secrets[name]
    return environment


@dataclass
class Worker:
    """A started worker and, where the run must not outlive its viewer, the write end of its lifeline."""

    process: subprocess.Popen[bytes]
    lifeline: int | None

    def close(self) -> None:
        """Give up the lifeline's write end."""
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None


def start_worker(
    run: RunFolder,
    *,
    outlives_viewer: bool,
    secrets: dict[str, str] | None = None,
    extra: dict[str, str] | None = None,
) -> Worker:
    """Start the worker of `run` in a new session, with `extra` environment.

    Without `outlives_viewer` it checkpoints and ends when we die.
    """
    command = [*python_module("engine.runs.worker"), str(run.path)]
    read_end = write_end = None
    if not outlives_viewer:
        read_end, write_end = os.pipe()
        command += ["--lifeline", str(read_end)]
    # A SIGTERM before the worker listens would kill it without a word: blocked here, inherited, unblocked there.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        with run.log_file.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[read_end] if read_end is not None else [],
                env={**worker_environment(secrets), **(extra or {})},
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if read_end is not None:
            os.close(read_end)
    return Worker(process, write_end)
