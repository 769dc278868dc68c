"""Light, dark, or the terminal's own colours: which, and by what names Textual knows them."""

from __future__ import annotations

from collections.abc import Mapping

CHOICES = ("auto", "dark", "light", "ansi")
VARIABLE = "SFT_WIZARD_THEME"
FEW = 16  # colours, of which nobody but the terminal knows how they look

_NAMES = {"dark": "textual-dark", "light": "textual-light", "ansi": "ansi-dark", "ansi light": "ansi-light"}


def chosen_theme(environ: Mapping[str, str], colours: int | None, wish: str | None = None) -> str:
    """Textual's name of the theme for a wish (--theme, else the environment's).

    With few colours, or with none, those of the terminal are used whatever is wished; and so they are where the
    terminal does not tell whether it is light or dark.
    """
    asked = wish or environ.get(VARIABLE, "")
    if asked not in CHOICES or asked == "auto":
        asked = _background(environ) or "ansi"
    if colours is None or colours <= FEW:
        return _NAMES["ansi light" if asked == "light" else "ansi"]
    return _NAMES[asked]


def _background(environ: Mapping[str, str]) -> str:
    """What COLORFGBG tells, which few terminals set: the number of the background's colour comes last."""
    number = environ.get("COLORFGBG", "").rpartition(";")[2]
    if not number.isdecimal():
        return ""
    return "light" if int(number) in (7, *range(9, 16)) else "dark"
