"""What a job needs and whether to make it fit, at plain prompts."""

from __future__ import annotations

from engine.wizard.memory import Need, gigabytes, make_fit, need, titles, ways
from engine.wizard.session import Wizard
from tui.prompts import Prompts
from tui.words import _, problem_text, say

BACK = "<"
YES, NO = ("", "y", "yes", "是"), ("n", "no", "否")


def need_words(wizard: Wizard) -> list[str]:
    """The verdict, the parts, and what they rest on; or why nothing is known."""
    found = need(wizard)
    if not isinstance(found, Need):
        return [say(found.reason), *(problem_text(problem) for problem in found.problems)]
    shown = (_("{name} {size} GB").format(name=say(part.name), size=gigabytes(part.size)) for part in found.parts)
    return [say(found.verdict_line), "  " + _(", ").join(shown), *(say(phrase) for phrase in found.basis)]


def offer_fit(wizard: Wizard, prompts: Prompts) -> bool:
    """Ask whether to change what has to be changed, where the job does not fit. False where the person typed `<`."""
    found = need(wizard)
    if not isinstance(found, Need) or found.verdict != "no":
        return True
    way = ways(wizard)
    if not way.fits:
        _tell_fit(wizard, prompts)
        return True
    prompts.tell(_("It can be made to fit:"))
    for phrase in titles(way):
        prompts.tell(f"  {say(phrase)}")
    while True:
        text = prompts.ask(_("Make it fit, yes or no [yes]:")).strip().lower()
        if text == BACK:
            return False
        if text in YES:
            _tell_fit(wizard, prompts)
        if text in (*YES, *NO):
            return True


def _tell_fit(wizard: Wizard, prompts: Prompts) -> None:
    remedy = make_fit(wizard)
    for phrase in remedy.lines:
        prompts.tell(say(phrase))
    if remedy.done:
        for line in need_words(wizard):
            prompts.tell(line)
