"""TensorBoard beside a run: on loopback, on a port that is free, and never longer than who started it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from engine.errors import ProblemError
from engine.runs.board import HOST, Board, open_board, tunnel

pytestmark = pytest.mark.usefixtures("private_home")

DYING = (sys.executable, "-c", "import sys; sys.exit('no such folder')")
# Answers on the port it is given, until its standard input closes: what engine.runs.board does.
SERVER = (
    "import socket, sys\n"
    f"found = socket.create_server(({HOST!r}, int(sys.argv[2])))\n"
    "sys.stdin.buffer.read()\n"
)  # fmt: skip
FAKE = (sys.executable, "-c", SERVER)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def ended(board: Board) -> bool:
    try:
        return board.process.wait(20) is not None
    except subprocess.TimeoutExpired:
        return False


def test_it_takes_its_usual_port_and_ends_when_asked(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    board = open_board(tmp_path, ports=[port], command=FAKE)
    assert board.alive and not board.taken and board.url == f"http://127.0.0.1:{port}/"
    board.close()
    assert ended(board)


def test_a_port_in_use_is_passed_over_and_said(tmp_path: Path) -> None:
    taken, free = free_ports(2)
    with socket.create_server((HOST, taken)):
        board = open_board(tmp_path, ports=[taken, free], command=FAKE)
        assert (board.port, board.taken) == (free, True)
        board.close()
        with pytest.raises(ProblemError) as caught:
            open_board(tmp_path, ports=[taken], command=FAKE)
    (problem,) = caught.value.problems
    assert (problem.code, problem.params["first"]) == ("ports_taken", taken)
    assert f"tensorboard --logdir {tmp_path} --host 127.0.0.1 --port" in str(caught.value)


@pytest.mark.parametrize(
    ("command", "installed", "code"),
    [
        (FAKE, False, "board_missing"),
        ((sys.executable, "-c", "import sys; sys.exit('no such folder')"), True, "board_died"),
    ],
)
def test_why_it_did_not_start(tmp_path: Path, command: tuple[str, ...], installed: bool, code: str) -> None:
    with pytest.raises(ProblemError) as caught:
        open_board(tmp_path, ports=free_ports(1), command=command, installed=lambda name: installed)
    assert caught.value.problems[0].code == code
    assert code == "board_missing" or "no such folder" in str(caught.value)


@pytest.mark.slow
def test_the_real_one_serves_and_dies_with_whoever_started_it(tmp_path: Path) -> None:
    """kill -9 of the wizard must not leave a server behind."""
    program = (
        "import sys, time; from pathlib import Path; from engine.runs.board import open_board\n"
        "board = open_board(Path(sys.argv[1]))\n"
        "print(board.port, board.process.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    port, pid = map(int, starter.stdout.readline().split())
    assert urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=30).status == 200
    starter.kill()
    starter.wait()
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]:
            return
        time.sleep(0.1)
    raise AssertionError("TensorBoard goes on")


@pytest.mark.parametrize(
    ("connection", "line"),
    [
        ("192.0.2.1 50000 192.0.2.2 22", "ssh -L 6007:127.0.0.1:6007 ada@192.0.2.2"),
        ("192.0.2.1 50000 192.0.2.2 2222", "ssh -L 6007:127.0.0.1:6007 -p 2222 ada@192.0.2.2"),
        ("2001:db8::1 50000 2001:db8::2 22", "ssh -L 6007:127.0.0.1:6007 ada@2001:db8::2"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_the_line_that_brings_it_to_the_persons_own_machine(connection: str, line: str) -> None:
    assert tunnel(6007, {"SSH_CONNECTION": connection} if connection else {}, "ada") == line
