"""TensorBoard beside a run: a server on loopback that ends with whoever started it, whatever becomes of them.

As a process: python -m engine.runs.board FOLDER PORT, whose standard input is a pipe; when that closes, it ends.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EnvironmentProblem, Problem
from engine.runs.folder import RunFolder
from engine.runs.launch import python_module, worker_environment
from engine.storage import state_folder

HOST = "127.0.0.1"
PORTS = range(6006, 6026)  # TensorBoard's own and the next ones
LOG = "tensorboard.log"  # in the state folder
PATIENCE = 60.0  # seconds until it answers: an import from a cold network disk takes its time
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Board:
    """A TensorBoard that answers at `url`. taken: its usual port was in use."""

    port: int
    process: subprocess.Popen[bytes]
    taken: bool = False

    @property
    def url(self) -> str:
        """For a browser on this machine."""
        return f"http://{HOST}:{self.port}/"

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def close(self) -> None:
        """End it; returns at once."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.terminate()
        threading.Thread(target=self.process.wait, daemon=True).start()


def open_board(
    folder: Path,
    *,
    ports: Iterable[int] = PORTS,
    command: Sequence[str] = tuple(python_module("engine.runs.board")),
    installed: Callable[[str], object] = importlib.util.find_spec,
) -> Board:
    """Serve the curves below `folder`, once it answers. Blocks for seconds.

    Raises EnvironmentProblem board_missing, ports_taken or board_died.
    """
    if not installed("tensorboard"):
        raise EnvironmentProblem(Problem("board_missing"))
    wanted = list(ports)
    port = next(filter(_is_free, wanted), None)
    if port is None:
        params = {"first": wanted[0], "last": wanted[-1], "folder": shlex.quote(str(folder)), "free": wanted[-1] + 1}
        raise EnvironmentProblem(Problem("ports_taken", params))
    log = state_folder() / LOG
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, str(folder), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            env=worker_environment(),
        )
    end = time.monotonic() + PATIENCE
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            lines = log.read_text(errors="replace").strip().splitlines() or [f"exit code {process.wait()}"]
            raise EnvironmentProblem(Problem("board_died", {"reason": lines[-1][:200], "log": str(log)}))
        time.sleep(LOOK_SECONDS)
    return Board(port, process, taken=port != wanted[0])


def board_folder(run: RunFolder, config: Mapping[str, object]) -> Path:
    """Where a run writes its curves. config: its config.yaml."""
    train = config.get("train")
    given = train.get("config") if isinstance(train, dict) else None
    folder = given.get("logging_dir") if isinstance(given, dict) else None
    return Path(folder) / run.id if folder and isinstance(folder, str) else run.tensorboard


def tunnel(port: int, environ: Mapping[str, str], user: str | None = None) -> str:
    """The command that brings the port to the person's own machine; empty where they sit at this one."""
    parts = environ.get("SSH_CONNECTION", "").split()  # client's address and port, ours as the client sees it
    if len(parts) != 4:
        return ""
    words = ["ssh", "-L", f"{port}:{HOST}:{port}", *(["-p", parts[3]] if parts[3] != "22" else [])]
    return shlex.join([*words, f"{user or getpass.getuser()}@{parts[2]}"])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a moment ago is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def main() -> None:
    """Serve until standard input closes."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    folder, port = sys.argv[1:]
    threading.Thread(target=watch, daemon=True).start()
    from tensorboard.main import run_main  # type: ignore[import-untyped]

    sys.argv = ["tensorboard", "--logdir", folder, "--host", HOST, "--port", port]
    run_main()


if __name__ == "__main__":
    main()
