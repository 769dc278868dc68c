"""The ways to begin as rows and words: of the first screen, and of the first question at plain prompts."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from engine.runs.status import Status
from engine.text import clean
from engine.wizard.beginning import Beginning, Project, Seen
from engine.wizard.steps import step
from tui.phases import age, state_title
from tui.words import LANGUAGES, _, language, say

DRAFT, ANEW, OTHER, RUNS = "draft", "anew", "other", "runs"


@dataclass(frozen=True)
class Offer:
    """One way: its key, what it is, and how that stands."""

    key: Hashable
    label: str
    value: str


def offers(found: Beginning, now: float) -> list[Offer]:
    """First what most people come for: a run that lives, else their answers of earlier, else to begin.

    Keys: the folder of a run, DRAFT, ANEW, ("project", folder), OTHER, RUNS. now: Unix time.
    """
    offered = [
        Offer(seen.run.path, _("Watch {run}").format(run=seen.run.title), standing(seen.status)) for seen in found.live
    ]
    if found.draft is not None:
        at = _("at the step {step}, {age} ago")
        told = {"step": say(step(found.draft.step).title), "age": age(max(0.0, now - found.draft.kept))}
        offered.append(Offer(DRAFT, _("Go on with your answers"), at.format(**told)))
    offered.append(Offer(ANEW, _("Begin anew") if offered else _("Begin"), ""))
    offered += [_project(project, now) for project in found.projects]
    offered.append(Offer(OTHER, _("Open another project …"), _("choose or type its folder")))
    if found.runs:
        offered.append(Offer(RUNS, _("All runs"), _("{count}, to look at and compare").format(count=found.runs)))
    return offered


def note(found: Beginning, key: Hashable) -> str:
    """What a row leads to, or where it lies."""
    if key == ANEW:
        return _("Six questions, each with a good answer already. Nothing is written before you say Start.")
    if key == DRAFT and found.draft is not None:
        return _("In {folder}").format(folder=found.draft.cwd)
    if key == OTHER:
        return _("A folder with a config.yaml of this tool, or with a training config of LLaMA-Factory.")
    if key == RUNS:
        return _("What became of each run; up to four are drawn over each other.")
    folder = key[1] if isinstance(key, tuple) else key
    return _("In {folder}").format(folder=folder)


def standing(status: Status) -> str:
    """A run's state, and how far it is."""
    if not status.total:
        return state_title(status.state)
    far = _("{state}, step {step} of {total}")
    return far.format(state=state_title(status.state), step=status.step, total=status.total)


def tongues() -> str:
    """The languages by their own names, the current one in brackets."""
    names = [f"[{name}]" if code == language() else name for code, name in LANGUAGES.items()]
    return _("Language: {names}").format(names="  ".join(names))


def _project(project: Project, now: float) -> Offer:
    newest: Seen | None = project.newest
    when = _("{age} ago").format(age=age(max(0.0, now - project.changed)))
    state = state_title(newest.status.state) if newest else _("no run yet")
    label = _("Open {project}").format(project=clean(project.folder.name))
    return Offer(("project", project.folder), label, _("{state}, {when}").format(state=state, when=when))


RESUME, RUN, TALK, MERGE, ANSWERS = "resume", "run", "talk", "merge", "answers"


def project_offers(newest: Seen | None) -> list[Offer]:
    """What a project's newest run allows, the likeliest first, and its answers."""
    if newest is None:
        return [Offer(ANSWERS, _("See and change its answers"), _("no run yet"))]
    status = newest.status
    answers = Offer(ANSWERS, _("See and change its answers"), _("to train it anew"))
    if status.alive or status.state == "elsewhere":
        return [Offer(RUN, _("Watch its run"), standing(status)), answers]
    if status.state == "finished":
        made = Offer(RUN, _("See what became of its run"), standing(status))
        outputs = newest.run.outputs()
        talk = [Offer(TALK, _("Talk to it"), "")] if outputs.keys() & {"adapter", "merged"} else []
        alone = "adapter" in outputs and "merged" not in outputs
        merge = [Offer(MERGE, _("Merge adapter and model"), "")] if alone else []
        return [answers, *talk, *merge, made]
    saved = newest.checkpoint
    label = _("Resume training") if saved is None else _("Resume training from step {step}").format(step=saved)
    return [Offer(RESUME, label, ""), Offer(RUN, _("See what happened"), standing(status)), answers]
