"""What can be done about each kind of failure, the likeliest way first."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from engine.errors import Problem
from engine.runs.actions import Disk, Edit, Fix, Watch
from engine.runs.offers import Case, command, edit, resume, rows, saved, smaller, to_answers, with_settings
from engine.runs.retry import Retry
from engine.text import NOTHING, Phrase

LEAST_CUTOFF = 256
_DATA = ("data_", "dataset_")


def ways(case: Case) -> Iterator[Fix]:
    """Those of the problem's code; data files have hundreds of codes and one set of ways."""
    data = case.problem.code.startswith(_DATA)
    return _BY_CODE.get(case.problem.code, _data if data else _plain)(case)


def has_ways(code: str) -> bool:
    """Whether there are any for problems of this code in particular."""
    return code in _BY_CODE or code.startswith(_DATA)


def _plain(case: Case) -> Iterator[Fix]:
    """Whatever has no ways of its own; where a key is named it can be changed."""
    if case.problem.key and (case.seen is None or case.seen.status.state == "failed"):
        yield edit(case.problem.key)
        if case.seen is None:  # the same answer would be refused again
            return
    yield resume(case.seen)


def _memory(case: Case) -> Iterator[Fix]:
    if not case.training:  # what is set there is training's
        yield resume(case.seen, Phrase("Helps where another program held the memory."))
        return
    yield smaller()
    if case.problem.code != "memory_too_small":
        yield resume(case.seen, Phrase("As it was: helps where another program held the memory."))
    cutoff, rank = case.train.get("cutoff_len"), case.train.get("lora_rank")
    if isinstance(cutoff, int) and cutoff // 2 >= LEAST_CUTOFF:
        yield edit("cutoff_len", cutoff // 2, Phrase("Shorter samples: what is longer is cut."))
    elif isinstance(rank, int) and rank > 8:
        yield edit("lora_rank", rank // 2, Phrase("A smaller adapter."))


def _measuring_memory(case: Case) -> Iterator[Fix]:
    batch = case.train.get("per_device_eval_batch_size")
    if isinstance(batch, int) and batch > 1:
        yield with_settings(
            case, {"per_device_eval_batch_size": 1}, Phrase("The same figures; measuring takes longer.")
        )
    yield from _memory(case)


def _not_finite(case: Case) -> Iterator[Fix]:
    codes = {problem.code for problem in case.seen.warnings} if case.seen else set()
    if case.train.get("fp16") and "bf16_to_fp16" not in codes:
        yield with_settings(case, {"fp16": False, "bf16": True}, Phrase("float16 overflows where bfloat16 does not."))
    rate = case.train.get("learning_rate")
    if isinstance(rate, int | float) and rate > 0:
        third = float(f"{rate / 3:.2g}")
        yield with_settings(case, {"learning_rate": third}, Phrase("A third of before: smaller steps."))
        yield edit("learning_rate", third)
    if saved(case.seen) is not None:
        yield resume(case.seen, Phrase("As it was: helps where a single sum went wrong."))


def _no_gradient(case: Case) -> Iterator[Fix]:
    yield command(Phrase("See what is learned from, row by row"), f"sft-wizard data check {shlex.quote(case.file)}")
    if case.train.get("fp16"):
        yield with_settings(case, {"fp16": False, "bf16": True}, Phrase("What is too small for float16 becomes 0."))
    if case.train.get("lora_target") not in (None, "all"):
        yield with_settings(case, {"lora_target": "all"}, Phrase("Every linear layer learns."))
    yield edit("template")


def _disk(case: Case) -> Iterator[Fix]:
    yield Fix(Phrase("See what can be deleted"), Phrase("Old runs and checkpoints, with their sizes."), Disk())
    yield resume(case.seen, Phrase("Once there is room."))
    if case.problem.code == "merge_disk_full" and case.seen is None:
        yield Fix(Phrase("Train without merging"), Phrase("It can be merged later."), Edit("merge", False))
    elif case.train.get("save_total_limit") != 1 and case.training:
        yield with_settings(case, {"save_total_limit": 1}, Phrase("Keeps the newest checkpoint only."))


def _folder(case: Case) -> Iterator[Fix]:
    """What is to be written to is taken, or closed to this person."""
    why = Phrase("A free name is filled in; all else stays.")
    yield Fix(Phrase("Take another folder for the project"), why, Edit("project"))
    other = str(case.problem.params.get("run", "?"))
    if case.problem.code == "in_use" and other != "?":
        label = Phrase("Watch the run that has the folder")
        line = f"sft-wizard attach {shlex.quote(other)}"
        yield command(label, line) if case.seen else Fix(label, NOTHING, Watch(other))
    yield resume(case.seen, Phrase("Once the folder is free and open to you."))


def _device(case: Case) -> Iterator[Fix]:
    yield to_answers("hardware")
    yield resume(case.seen, Phrase("Once it can be used."))


def _killed(case: Case) -> Iterator[Fix]:
    yield resume(case.seen)


def _crashed(case: Case) -> Iterator[Fix]:
    yield resume(case.seen)
    if case.problem.code in ("crashed", "crashed_unseen") and case.training:
        yield smaller(Phrase("Where the memory of the machine was full."))


def _package(case: Case) -> Iterator[Fix]:
    params = case.problem.params
    given = str(params.get("package") or params.get("name") or "")
    name = _PACKAGES.get(case.problem.code) or _PIP.get(given.partition(".")[0], given.partition(".")[0])
    yield command(Phrase("Install {package}", {"package": name}), f"pip install {shlex.quote(name)}")
    yield resume(case.seen, Phrase("Once it is installed."))
    if case.problem.code == "tracker_missing":
        yield with_settings(case, {"report_to": "none"}, Phrase("Without that tracker."))
    elif case.problem.code == "optimiser_package":
        yield with_settings(case, {"optim": "adamw_torch"}, Phrase("Another optimiser, which needs nothing."))
    elif case.problem.key:
        yield edit(case.problem.key)


_PACKAGES = {
    "bitsandbytes_missing": "sft-wizard[gpu]",
    "liger_missing": "sft-wizard[gpu]",
    "predict_packages": "sft-wizard[predict]",
}
_PIP = {  # by the name of the import
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "google": "protobuf",
    "optimi": "torch-optimi",
}


def _model(case: Case) -> Iterator[Fix]:
    if _gated(case.problem):
        yield command(Phrase("Log in, after its licence was accepted on the hub"), "hf auth login")
        yield resume(case.seen, Phrase("Once you are logged in."))
        yield to_answers("model")
    else:
        yield to_answers("model")
        yield resume(case.seen, Phrase("Helps where the hub could not be reached."))


def _gated(problem: Problem) -> bool:
    return "gated" in problem.code or "gated" in str(problem.params.get("reason", ""))


def _hub_set(case: Case) -> Iterator[Fix]:
    if _gated(case.problem):
        yield command(Phrase("Log in, after its terms were accepted on the hub"), "hf auth login")
    yield resume(case.seen, Phrase("Once it can be reached."))
    yield to_answers("data")


def _data(case: Case) -> Iterator[Fix]:
    yield from rows(case.problems)
    yield to_answers("data")
    if case.file:
        yield command(Phrase("Check the data, row by row"), f"sft-wizard data check {shlex.quote(case.file)}")
    yield resume(case.seen, Phrase("Once the data is corrected."))


def _cut(case: Case) -> Iterator[Fix]:
    """No answer, or no end of one, is left of a sample."""
    params = case.problem.params
    for name in ("longest", "at_least"):
        if isinstance(params.get(name), int) and params[name] != case.train.get("cutoff_len"):
            why = Phrase("Every sample stays whole, at the cost of memory.") if name == "longest" else NOTHING
            yield with_settings(case, {"cutoff_len": params[name]}, why)
    yield edit("cutoff_len", params.get("longest"))
    yield from _data(case)


def _template(case: Case) -> Iterator[Fix]:
    """The template does not fit the model, or hides what is to be learned."""
    params = case.problem.params
    near = params.get("nearest") or params.get("usable")
    near = near[0] if isinstance(near, list) and near else near
    suggested = near if isinstance(near, str) and near else _TEMPLATES.get(case.problem.code, "auto")
    if suggested != case.train.get("template"):
        yield with_settings(case, {"template": suggested}, _TEMPLATE_WHY[suggested == "auto"])
    yield edit("template", suggested)
    if case.file:
        yield command(Phrase("See what is learned from, row by row"), f"sft-wizard data check {shlex.quote(case.file)}")
    if case.problem.code in ("end_mark_masked", "end_mark_not_written"):
        why = Phrase("The model will not learn where an answer ends.")
        yield Fix(Phrase("Train as it is"), why, Retry(force=True))


_TEMPLATES = {
    "all_labels_masked": "default",
    "no_chat_template": "default",
    "tokenizer_not_fast": "default",
    "end_mark_masked": "default",
    "end_mark_not_written": "default",
    "chat_template_refuses_prompt": "default",
}
_TEMPLATE_WHY = {
    True: Phrase("The chat template that came with the model."),
    False: Phrase("A template that marks every answer and its end."),
}


def _ids(case: Case) -> Iterator[Fix]:
    yield with_settings(case, {"resize_vocab": True}, Phrase("The model's embedding grows with the tokenizer."))
    yield edit("template", "auto")
    yield to_answers("model")


def _checkpoint(case: Case) -> Iterator[Fix]:
    why = Phrase("The newest checkpoint that is whole is found by itself.")
    yield with_settings(case, {"resume_from_checkpoint": None}, why)


_Ways = Callable[[Case], Iterator[Fix]]
_BY_CODE: dict[str, _Ways] = {
    **dict.fromkeys(("oom", "memory_too_small", "crashed_memory"), _memory),
    "oom_measuring": _measuring_memory,
    **dict.fromkeys(("nan_loss", "nan_gradient"), _not_finite),
    "no_gradient": _no_gradient,
    **dict.fromkeys(("disk_full", "disk_too_small", "merge_disk_full"), _disk),
    "killed": _killed,
    **dict.fromkeys(("crashed", "crashed_unseen", "crashed_otherwise", "crashed_reboot"), _crashed),
    **dict.fromkeys(("missing_package", "tracker_missing", "optimiser_package", *_PACKAGES), _package),
    **dict.fromkeys(
        (
            "model_missing",
            "model_missing_near",
            "model_unknown",
            "model_unknown_near",
            "model_gated",
            "model_offline",
            "model_unreachable",
            "model_folder_incomplete",
            "model_is_adapter",
            "weights_damaged",
            "weights_pointer",
        ),
        _model,
    ),
    **dict.fromkeys(
        (
            "in_use",
            "not_writable",
            "folder_not_made",
            "output_other",
            "output_foreign",
            "export_foreign",
            "output_is_file",
            "exists_different",
        ),
        _folder,
    ),
    "gpu_not_there": _device,
    **dict.fromkeys(("hub_set_gated", "hub_set_offline", "hub_set_unreachable", "hub_set_unknown"), _hub_set),
    **dict.fromkeys(("dataset_no_usable_row", "no_rows", "no_rows_left", "rows_dropped", "data_gave_up"), _data),
    **dict.fromkeys(("cutoff_leaves_no_answer", "end_mark_cut"), _cut),
    **dict.fromkeys(("all_labels_masked", "end_mark_masked", "end_mark_not_written", "no_chat_template"), _template),
    **dict.fromkeys(("template_needs_new_tokens", "template_needs_markers", "chat_template_refuses_prompt"), _template),
    **dict.fromkeys(("unknown_template", "unknown_template_near", "template_removed", "tokenizer_not_fast"), _template),
    "ids_beyond_embedding": _ids,
    **dict.fromkeys(("checkpoint_unusable", "nothing_to_resume"), _checkpoint),
}
