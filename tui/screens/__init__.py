"""One screen a step. Each is imported when it is shown: the first one comes up without the others."""

from __future__ import annotations

from tui.screens.base import StepScreen


def screen_of(step_id: str, question: str = "") -> StepScreen:
    """A fresh screen of a step, drawn from the wizard's answers; `question` is the one that is edited."""
    if step_id == "hardware":
        from tui.screens.hardware import HardwareScreen

        return HardwareScreen()
    if step_id == "model":
        from tui.screens.model import ModelScreen

        return ModelScreen(step_id, question)
    if step_id == "preset":
        from tui.screens.preset import PresetScreen

        return PresetScreen(step_id, question)
    if step_id == "data":
        from tui.screens.data import DataScreen

        return DataScreen(step_id, question)
    if step_id == "settings":
        from tui.screens.settings import SettingsScreen

        return SettingsScreen()
    if step_id == "review":
        from tui.screens.review import ReviewScreen

        return ReviewScreen()
    if step_id in ("training", "merge"):
        from tui.screens.running import RunScreen

        return RunScreen()
    if step_id == "chat":
        from tui.screens.chatting import ChatScreen

        return ChatScreen()
    from tui.screens.finishing import FinishScreen

    return FinishScreen()


__all__ = ["StepScreen", "screen_of"]
