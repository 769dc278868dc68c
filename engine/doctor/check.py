"""One finding of the doctor, and all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import EXIT_ENVIRONMENT, EXIT_OK, packed, unpacked
from engine.text import NOTHING, Phrase

Status = Literal["ok", "warn", "fail"]
STATUS_WORDS: dict[Status, Phrase] = {"ok": Phrase("ok"), "warn": Phrase("warning"), "fail": Phrase("FAILED")}


@dataclass(frozen=True)
class Check:
    """fail: a run cannot work like this. warn: it works, but not as one may expect. remedy: what to do, if anything."""

    id: str
    status: Status
    title: Phrase
    finding: Phrase
    remedy: Phrase = NOTHING

    def as_dict(self) -> dict[str, str]:
        """As JSON, in English."""
        texts = {"title": self.title, "finding": self.finding, "remedy": self.remedy}
        return {"id": self.id, "status": self.status, **{name: str(text) for name, text in texts.items()}}

    def packed(self) -> dict[str, Any]:
        """As JSON whose words are still to be translated."""
        return {name: packed(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def unpacked(cls, raw: dict[str, Any]) -> Check:
        """Inverse of `packed`."""
        return cls(**{name: unpacked(value) for name, value in raw.items()})


@dataclass(frozen=True)
class Diagnosis:
    """The checks in the order in which they are told, and what they rest on as JSON values."""

    checks: tuple[Check, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def count(self, status: Status) -> int:
        """How many ended so."""
        return sum(check.status == status for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0 where nothing failed, else 3."""
        return EXIT_ENVIRONMENT if self.count("fail") else EXIT_OK
