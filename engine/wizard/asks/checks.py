"""Checks of answers that several steps share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import Problem

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


def is_given(wizard: Wizard, value: Any) -> list[Problem]:
    """Refuses an empty answer."""
    return [] if str(value or "").strip() else [Problem("answer_empty")]
