"""What one entry of dataset_info.json says, once it has been checked."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from engine.data.selection import TRAIN, Slice
from engine.errors import Problem

Formatting = Literal["alpaca", "sharegpt", "openai"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the file plays which part; None where none does."""

    prompt: str | None = "instruction"
    query: str | None = "input"
    response: str | None = "output"
    history: str | None = None
    messages: str | None = "conversations"
    system: str | None = None
    tools: str | None = None


@dataclass(frozen=True, slots=True)
class Tags:
    """How messages of a sharegpt row name their two members and their roles; None where a role has no name."""

    role_tag: str | None = "from"
    content_tag: str | None = "value"
    user_tag: str | None = "human"
    assistant_tag: str | None = "gpt"
    observation_tag: str | None = "observation"
    function_tag: str | None = "function_call"
    system_tag: str | None = "system"


@dataclass(frozen=True, slots=True)
class HubSet:
    """A dataset of the Hugging Face hub, or a folder that `datasets` can load: what its load_dataset is given."""

    name: str
    subset: str | None = None
    folder: str | None = None
    split: str = "train"


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """One dataset: its files in reading order, or its place on the hub, and how rows become conversations.

    `columns_given` and `tags_given` say whether dataset_info.json holds the object: if so, what it does not list is
    None. `file` and `line` are the entry's place; `notes` what is odd about it without stopping anything. Of the rows
    of the files `slices` are taken, then `num_samples` at random.
    """

    name: str
    files: tuple[Path, ...]
    formatting: Formatting = "alpaca"
    columns: Columns = Columns()
    tags: Tags = Tags()
    columns_given: bool = False
    tags_given: bool = False
    file: str | None = None
    line: int | None = None
    notes: tuple[Problem, ...] = ()
    hub: HubSet | None = None
    slices: tuple[Slice, ...] = TRAIN
    num_samples: int | None = None

    @property
    def source(self) -> str:
        """What the rows come from, for a message: the first file, or the hub's name of the set."""
        return self.hub.name if self.hub else str(self.files[0]) if self.files else self.name

    def meaning(self) -> dict[str, Any]:
        """Everything but the contents of the files that decides which conversations come of them, as JSON."""
        given = [self.columns_given, self.tags_given] if self.formatting == "openai" else None
        return {
            "formatting": [self.formatting, given],
            "columns": asdict(self.columns),
            "tags": asdict(self.tags),
            "hub": asdict(self.hub) if self.hub else None,
            "slices": [asdict(part) for part in self.slices],
            "num_samples": self.num_samples,
        }


def nearest(name: str, names: list[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first; none where nothing is like it."""
    lower = {candidate.lower(): candidate for candidate in names}
    return [lower[match] for match in difflib.get_close_matches(name.lower(), list(lower), count, 0.6)]


def with_near(code: str, similar: list[str]) -> str:
    """The code of the message that names the nearest ones, where there are any."""
    return f"{code}_near" if similar else code


def listing(folder: Path) -> list[str]:
    """Up to a dozen names of what lies in a folder, to show beside what was looked for."""
    if not folder.is_dir():
        return []
    return sorted(item.name + "/" * item.is_dir() for item in folder.iterdir() if not item.name.startswith("."))[:12]
