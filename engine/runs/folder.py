"""One folder a run: config.yaml as resolved, state.json, events.jsonl, train.log, run.lock, tensorboard/."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
from pathlib import Path
from typing import Any

from engine.config.reading import dump, read_document
from engine.runs.lock import held
from engine.runs.logs import tail
from engine.storage import private_folder, write_json, write_whole

STAMP = "%Y%m%dT%H%M%S"  # of run ids, UTC


class RunFolder:
    """Paths and state of one run."""

    def __init__(self, path: Path):
        self.path = path
        self.id = path.name
        self.config_file = path / "config.yaml"
        self.state_file = path / "state.json"
        self.events_file = path / "events.jsonl"
        self.log_file = path / "train.log"
        self.lock_file = path / "run.lock"
        self.stop_file = path / "stop"
        self.tensorboard = path / "tensorboard"

    @classmethod
    def create(cls, runs: Path, slug: str, config: dict[str, Any]) -> RunFolder:
        """A new folder `<utc>-<slug>` under `runs`, with its config; `runs`/train.log then links to its log."""
        private_folder(runs)
        stamp = datetime.datetime.now(datetime.UTC).strftime(STAMP)
        name = f"{stamp}-{slugify(slug)}"
        for attempt in range(1000):
            path = runs / (name if not attempt else f"{name}-{attempt + 1}")
            try:
                path.mkdir(mode=0o700)
                break
            except FileExistsError:
                continue
        run = cls(path)
        write_whole(run.config_file, dump(config))
        os.close(os.open(run.log_file, os.O_CREAT | os.O_WRONLY, 0o600))
        run.update_state(state="starting", run=run.id)
        _link(runs / "train.log", run.log_file)
        return run

    @property
    def title(self) -> str:
        """The part of its name that a person gave; the whole of it where it was renamed."""
        return self.id.partition("-")[2] or self.id

    def began(self) -> float:
        """When, in Unix time: by its name, or where it was renamed by its config. 0 where there is neither."""
        with contextlib.suppress(ValueError):
            stamp = datetime.datetime.strptime(self.id.partition("-")[0], STAMP)
            return stamp.replace(tzinfo=datetime.UTC).timestamp()
        with contextlib.suppress(OSError):
            return self.config_file.stat().st_mtime
        return 0.0

    def config(self) -> dict[str, Any]:
        """The resolved config."""
        return read_document(self.config_file).values

    def state(self) -> dict[str, Any]:
        """state.json; empty where there is none yet, or where it cannot be read."""
        try:
            found = json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def outputs(self) -> dict[str, str]:
        """What the run has made so far: {adapter, merged, answers: path}."""
        made: dict[str, str] = self.state().get("outputs", {})
        return made

    def update_state(self, **changes: Any) -> None:
        """Replace members of state.json, atomically."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_json(self.state_file, {**self.state(), **changes, "updated": now})

    def alive(self) -> bool:
        """Whether its worker holds the lock, on this host."""
        return held(self.lock_file)

    def log_tail(self, lines: int = 15) -> list[str]:
        """The last lines of its log, as plain text."""
        return tail(self.log_file, lines)


def slugify(text: str) -> str:
    """A short name that is safe in paths."""
    return re.sub(r"[^\w.]+", "-", text).strip("-._")[:40] or "run"


def _link(link: Path, target: Path) -> None:
    """Point `link` at `target` relatively; a filesystem without links goes without."""
    with contextlib.suppress(OSError):
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.relpath(target, link.parent))
        fresh.replace(link)
