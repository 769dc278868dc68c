"""What the steps need is loaded while a person reads the first screen: a key that opens a step would wait for it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import pkgutil
import threading
from functools import cache
from pathlib import Path

import tui.screens


@cache
def warm() -> threading.Thread:
    """Begin to load, once a process, beside the loop that the keys come through."""
    loading = threading.Thread(target=_load, daemon=True)
    loading.start()
    return loading


def _load() -> None:
    """The screens, and by a walk through all steps what the answers are made of: tables, presets, models, samples."""
    with contextlib.suppress(Exception):  # whoever needs it meets that again, and tells of it
        for found in pkgutil.iter_modules(tui.screens.__path__):
            importlib.import_module(f"tui.screens.{found.name}")
        from engine.wizard.memory import need
        from engine.wizard.session import Wizard
        from engine.wizard.steps import STEPS

        wizard = Wizard(Path.cwd())
        for step in STEPS:
            for question in wizard.questions(step.id, advanced=True):
                wizard.shown(question.id)
            wizard.needs(step.id)
            wizard.problems(step.id)
        need(wizard)
    gc.freeze()  # all of that stays: looking through it for what can go would take 50 ms of somebody's key
    gc.enable()
