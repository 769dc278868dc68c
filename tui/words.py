"""Every sentence on its way to a person: English in the sources, the person's language on the screen.

`_("literal")` for a sentence that stands right there, `noop("literal")` for one in a table and `translate(text)` where
the table is read, `say(phrase)` and `problem_text(problem)` for what the engine hands over as values.
docs/translating.md tells how the catalogues come about. Imports nothing heavy: the first screen needs it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from pathlib import Path

from engine.errors import ConfigError, Problem
from engine.messages import render
from engine.text import Phrase

LANGUAGES = {"en": "English", "zh": "简体中文"}  # by their own names, so that everyone finds theirs
SOURCE = "en"

_code: str | None = None  # None: chosen at the first sentence
_catalogue: NullTranslations = NullTranslations()


def translate(text: str) -> str:
    """`text` in the current language, or as it is where the catalogue does not have it. For texts out of tables."""
    language()  # chooses one before the first sentence
    return _catalogue.gettext(text) if text else ""  # gettext's entry for "" is the catalogue's header


def _(text: str) -> str:
    """A literal in the current language; looked up when called, since the language can change at any time."""
    return translate(text)


def noop(text: str) -> str:
    """Mark a literal of a table for the catalogue; `translate` looks it up later."""
    return text


_SEVERITIES = {
    "error": noop("error: {text}"),
    "warning": noop("warning: {text}"),
    "note": noop("note: {text}"),
}


def say(phrase: Phrase) -> str:
    """A phrase of the engine in the current language; what fills it passed `clean`."""
    return phrase.say(translate)


def problem_text(problem: Problem) -> str:
    """What is wrong, where, and on the next line what to do, in the current language."""
    return render(problem, translate)


def problem_line(problem: Problem) -> str:
    """`problem_text` after the word for how much it matters."""
    return translate(_SEVERITIES[problem.severity]).format(text=problem_text(problem))


def language() -> str:
    """The code of the current language."""
    if _code is None:
        set_language(choose_language(None, os.environ))
    return _code or SOURCE


def other_language() -> str:
    """The name of the language that the language key brings."""
    codes = list(LANGUAGES)
    return LANGUAGES[codes[(codes.index(language()) + 1) % len(codes)]]


def set_language(code: str) -> None:
    """Speak `code`, one of LANGUAGES, from the next sentence on."""
    global _code, _catalogue
    _catalogue = NullTranslations() if code == SOURCE else _read(code)
    _code = code


def choose_language(given: str | None, environ: Mapping[str, str], encoding: str | None = None) -> str:
    """The language to begin with: `given` (--lang), else SFT_WIZARD_LANG, the remembered one, the locale, English.

    `encoding` is that of the terminal (default: of the locale); only UTF-8 shows other languages than English.

    Raises:
        ConfigError: language_unknown, where `given` is none that there is.
    """
    if given is not None and _known(given) is None:
        raise ConfigError(Problem("language_unknown", {"given": given, "known": list(LANGUAGES)}))
    wish = _known(given) or _known(environ.get("SFT_WIZARD_LANG")) or _remembered() or _of_locale(environ) or SOURCE
    return wish if _is_utf8(encoding) else SOURCE


def remember_language(code: str) -> None:
    """Begin with `code` from now on. Where the state folder cannot be written, the choice ends with the program."""
    from engine.storage import write_json

    with contextlib.suppress(OSError):
        write_json(_memory(), {"language": code})


def _read(code: str) -> GNUTranslations:
    file = resources.files("tui").joinpath("locale", code, "LC_MESSAGES", "sft_wizard.mo")
    with file.open("rb") as stream:
        return GNUTranslations(stream)


def _known(wish: object) -> str | None:
    """zh of zh, zh_CN.UTF-8 or zh-Hans; None where we do not have it."""
    if not isinstance(wish, str):
        return None
    code = wish.strip().lower().replace("-", "_").partition(".")[0].partition("_")[0]
    return code if code in LANGUAGES else None


def _of_locale(environ: Mapping[str, str]) -> str | None:
    """The first of the three that is set decides, as for every other program."""
    return _known(next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), None))


def _is_utf8(encoding: str | None) -> bool:
    if encoding is None:
        import locale

        encoding = locale.getpreferredencoding(False)
    return encoding.lower().replace("-", "") in ("utf8", "utf_8")


def _remembered() -> str | None:
    with contextlib.suppress(OSError, ValueError):
        raw = json.loads(_memory().read_text(encoding="utf-8"))
        return _known(raw.get("language")) if isinstance(raw, dict) else None
    return None


def _memory() -> Path:
    from engine.storage import state_folder

    return state_folder() / "language.json"
