"""The one table of questions. A question that is added here is asked on the screen, at plain prompts, and reviewed."""

from __future__ import annotations

from functools import cache

from engine.wizard.asks import data, hardware, model, preset, review, settings
from engine.wizard.questions import Question


@cache
def table() -> dict[str, Question]:
    """{id: question} in the order they are asked."""
    steps = (hardware, model, data, preset, settings, review)
    return {question.id: question for step in steps for question in step.questions()}
