"""`?`: the keys, and the words of the trade in a sentence each."""

from __future__ import annotations

from tui.screens.pane import TextPane
from tui.words import _, noop, translate

KEYS = (
    ("↑ ↓", noop("move")),
    ("1-9", noop("move to a row")),
    ("Enter", noop("take the row and go on")),
    ("Esc", noop("back; nothing is lost")),
    ("Tab", noop("to the next field")),
    ("Ctrl+Z", noop("to the shell; fg comes back")),
    ("Ctrl+Q", noop("leave; a training run goes on")),
)
WORDS = (
    ("LoRA", noop("Training that leaves the model as it is and learns a small addition to it.")),
    (noop("adapter"), noop("That addition: a small file, of use only with its model.")),
    (noop("rank"), noop("How much an adapter can hold; more takes more memory.")),
    (noop("epoch"), noop("One pass over all samples.")),
    (noop("cutoff"), noop("The longest sample in tokens, which are pieces of words; what is beyond is cut off.")),
    (noop("batch"), noop("Samples that go through the model at once; more takes more memory.")),
    (
        noop("gradient accumulation"),
        noop("Several batches before the adapter changes: as good as one large batch, in less memory."),
    ),
    (noop("merge"), noop("Making one model of model and adapter.")),
    (noop("checkpoint"), noop("The state of a run on disk, from which it can go on.")),
    (noop("preset"), noop("Settings that fit a given amount of memory.")),
)


class HelpPane(TextPane):
    """Opened from anywhere."""

    def __init__(self) -> None:
        keys = [f"{key:8} {translate(words)}" for key, words in KEYS]
        words = [_("{word}: {meaning}").format(word=translate(word), meaning=translate(text)) for word, text in WORDS]
        super().__init__(_("Help"), "\n".join([*keys, "", *words]))
