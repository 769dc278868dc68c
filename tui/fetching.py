"""Downloads of models in words, and the question for one at plain prompts."""

from __future__ import annotations

from engine.errors import ProblemError
from engine.text import Phrase
from engine.wizard.fetching import Download, Fetcher, arrived, wanted
from engine.wizard.session import Wizard
from tui.prompts import Prompts
from tui.report import amount
from tui.words import _, problem_line, problem_text, say

BACK = "<"
YES, NO = ("y", "yes", "是"), ("", "n", "no", "否")
STEP = 10  # percent from one line of progress to the next


def download_words(download: Download | None) -> str:
    """How far it is, or why it ended, in one line; empty where there is none."""
    if download is None:
        return ""
    if download.state == "done":
        return _("{name} was downloaded.").format(name=download.name)
    if download.state == "failed":
        why = problem_text(download.problems[0]).split("\n")[0] if download.problems else ""
        return _("The download of {name} ended: {why}").format(name=download.name, why=why)
    if not download.total:
        return _("{what} …").format(what=say(download.what) or _("Downloading {name}").format(name=download.name))
    share = f"{100 * download.done // download.total} %"
    far = amount(download.done, download.total, "bytes")
    return _("{what}: {far}, {share}").format(what=say(download.what), far=far, share=share)


def offer_download(wizard: Wizard, fetcher: Fetcher, prompts: Prompts, declined: set[str]) -> bool:
    """Ask whether to fetch the chosen model now, where it is not here. False where the person typed `<`.

    declined: models for which this was answered already.
    """
    name = wanted(wizard)
    if not name or name in declined:
        return True
    prompts.tell(_("{name} is not on this machine. Without a download now the run begins with it.").format(name=name))
    while True:
        text = prompts.ask(_("Download it now, yes or no [no]:")).strip().lower()
        if text == BACK:
            return False
        if text in (*YES, *NO):
            declined.add(name)
            if text in YES:
                _fetch(wizard, name, fetcher, prompts)
            return True


def _fetch(wizard: Wizard, name: str, fetcher: Fetcher, prompts: Prompts) -> None:
    told = [""]

    def progress(what: Phrase, done: int, total: int) -> None:
        line = say(what)
        if total:
            share = 100 * done // total // STEP * STEP
            line = _("{what}: {share} %").format(what=line, share=share)
        if line != told[0]:
            told[0] = line
            prompts.tell(line)

    prompts.tell(_("Ctrl+C stops the download; what has arrived is kept."))
    try:
        fetcher.download(name, progress)
    except ProblemError as error:
        for problem in error.problems:
            prompts.tell(problem_line(problem))
    except KeyboardInterrupt:
        fetcher.stop_download()
        prompts.tell(_("Stopped. The run goes on with what has arrived."))
    else:
        arrived(wizard)
