"""Lines on a narrow screen."""

from __future__ import annotations

from rich.cells import cell_len

from tui.wrapping import wrap


def test_english_breaks_at_spaces_and_keeps_what_fits() -> None:
    assert wrap("  a: 1   # kept\nthe quick brown fox", 15) == ["  a: 1   # kept", "the quick brown", "fox"]


def test_chinese_breaks_between_characters_but_not_before_a_comma() -> None:
    """Textual would move everything up to the next space to a new line."""
    text = "没有 GPU 时，小模型几分钟就能学完，大模型要几天。"
    assert wrap(text, 20) == ["没有 GPU 时，小模型", "几分钟就能学完，大模", "型要几天。"]
    assert wrap("一二三四五，六", 10) == ["一二三四", "五，六"]
    assert wrap("一二三四（五六）", 10) == ["一二三四", "（五六）"]


def test_a_word_without_end_is_cut_everywhere() -> None:
    lines = wrap("x" * 95 + " y", 10)
    assert "".join(lines) == "x" * 95 + " y"
    assert all(cell_len(line) <= 10 for line in lines)


def test_a_window_of_one_cell_does_not_hang() -> None:
    assert "".join(wrap("字字", 1)) == "字字"


def test_the_rest_of_a_line_is_indented_as_its_beginning() -> None:
    """What is wrong, and what to do about it below."""
    assert wrap("! a is wrong\n  do b, then c", 10) == ["! a is", "  wrong", "  do b,", "  then c"]
    assert wrap("        a b c d", 9) == ["        a", "   b c d"], "at most a third"
