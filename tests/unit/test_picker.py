"""Rows of a list as text."""

from __future__ import annotations

from tui.widgets.picker import Picker, Row


def test_a_row_without_a_value_has_the_line_to_itself() -> None:
    """Also where the others say in other words what they are."""
    go = "Start: train 100 steps, merge, ask both models"
    picker = Picker([Row("", go), Row("rank", "lora_rank", "8", aside="size of the adapter")])
    rows = [Row("", go), Row("rank", "lora_rank", "8", mark="changed", aside="size of the adapter")]
    assert Picker(rows).text(0, 52).rstrip() == f"> 1 {go}", "no room is kept for a mark that it does not have"
    assert picker.text(0, 80).rstrip() == f"> 1 {go}"
    assert picker.text(1, 80).split() == ["2", "lora_rank", "size", "of", "the", "adapter", "8"]
