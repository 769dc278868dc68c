"""Commands that are broken into lines are still the same commands."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from tui.shell import command_lines

COMMANDS = (
    "vllm serve models/my-model --served-model-name my-model --max-lora-rank 64",
    "curl http://localhost:8000/v1 -H 'Content-Type: application/json' -d '{\"a\": \"b c\"}'",
    "sft-wizard chat '/home/ada/my project/with a long name that has blanks and no end to it'",
    "tensorboard --logdir /a/path/that/is/longer/than/any/line/of/this/test/would/be",
    f"printf {shlex.quote(chr(39) + 'it is a b')} 'x y' c\\ d",
)


@pytest.mark.parametrize("cells", [10, 24, 60, 500])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_shell_reads_the_same_words(command: str, cells: int) -> None:
    """Asked of a shell itself."""

    def words(text: str) -> str:
        line = f"show() {{ printf '<%s>' \"$@\"; }}; show {text}"
        return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout

    lines = command_lines(command, cells)
    assert words("\n".join(lines)) == words(command)
    within = command.count("\n")  # lines of a quoted word
    assert sum(not line.endswith(" \\") for line in lines) == 1 + within and "\n" not in "".join(lines)


def test_lines_keep_to_the_width_and_options_to_their_values() -> None:
    """As one would break them by hand."""
    assert command_lines("vllm serve m --served-model-name my-model --seed 1", 32) == [
        "vllm serve m \\",
        "    --served-model-name my-model \\",
        "    --seed 1",
    ]
