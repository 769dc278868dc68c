"""How long the command takes to start: --version, --help and a dry run beside a bare `import textual.app`.

python benchmarks/start.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 15


def main() -> None:
    """Run alternately, print medians and ratios, record them."""
    tool = str(Path(sys.executable).with_name("sft-wizard"))
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([tool, "new", f"{work}/project"], check=True, capture_output=True)
        ways = {
            "python -c 'import textual.app'": ([sys.executable, "-c", "import textual.app"], REPEATS),
            "sft-wizard --version": ([tool, "--version"], REPEATS),
            "sft-wizard --help": ([tool, "--help"], REPEATS),
            "sft-wizard --replay config.yaml --dry-run": (
                [tool, "--replay", f"{work}/project/config.yaml", "--dry-run"],
                5,
            ),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(REPEATS + 1):
            for name, (command, times) in ways.items():
                if repeat <= times:
                    started = time.monotonic()
                    subprocess.run(command, check=True, capture_output=True, cwd=work)
                    if repeat:  # the first round warms the disk cache
                        seconds[name].append(time.monotonic() - started)
    bare = statistics.median(seconds["python -c 'import textual.app'"])
    lines = [
        "# Starting",
        "",
        "Made by benchmarks/start.py.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, 2 shared CPU cores, Python {sys.version.split()[0]}, "
        f"textual {version('textual')}, "
        f"typer {version('typer')}; median of {REPEATS} (dry run: 5, tokens cached), alternating.",
        "",
        "| command | median, s | beside importing textual.app |",
        "|---|---|---|",
        *(
            f"| `{name}` | {statistics.median(found):.3f} | {statistics.median(found) / bare:.2f} |"
            for name, found in seconds.items()
        ),
        "",
        "The dry run starts a worker that imports transformers for its tokenizer; that is most of its time.",
        "",
    ]
    text = "\n".join(lines)
    (ROOT / "benchmarks/results").mkdir(exist_ok=True)
    (ROOT / "benchmarks/results/start.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
