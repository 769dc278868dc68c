"""English words for how runs end."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "in_use": Message(
        "{folder} is in use by run {run} (process {pid} on {host}).",
        "Wait for it, stop it with: sft-wizard stop {run} (it saves a checkpoint), or choose another output folder.",
    ),
    "not_writable": Message(
        "Nothing can be written to {folder}: no permission at {at}.", "Choose another folder, or correct its rights."
    ),
    "oom": Message(
        "Out of memory. {reason}",
        "Lower in this order: per_device_train_batch_size (raise gradient_accumulation_steps to match), cutoff_len, "
        "disable_gradient_checkpointing: false, lora_rank; then quantization_bit: 4 on a GPU.",
    ),
    "disk_full": Message("The disk is full. {path}", "Free some space, then run the same command again: it resumes."),
    "missing_package": Message(
        "The package {name} is missing: {reason}", "Install it into the same environment: pip install {name}"
    ),
    "internal": Message(
        "Something went wrong that should not: {type}: {reason}",
        "The log has the details. Running the same command again resumes from the last checkpoint.",
    ),
    "crash": Message(
        "Something went wrong that should not: {type}: {reason}", "This is a bug of sft-wizard. Details: {log}"
    ),
    "crashed": Message(
        "The worker ended without a word ({how}). Often this is the system's out-of-memory killer.",
        "See the end of {log}. Running the same command again resumes from the last checkpoint.",
    ),
    "crashed_unseen": Message(
        "The worker is gone and left no word. Often this is the system's out-of-memory killer.",
        "See the end of {log}. sft-wizard resume goes on from the last checkpoint.",
    ),
    "crashed_memory": Message(
        "The system's out-of-memory killer ended the worker: the memory of the machine or of its container was full.",
        "Less of it is needed with a smaller cutoff_len or model, or where nothing else runs beside. sft-wizard resume "
        "goes on from the last checkpoint. The log: {log}",
    ),
    "crashed_otherwise": Message(
        "The worker is gone and left no word. The system's out-of-memory killer did not end it: somebody's kill -9, "
        "the end of a session or of a job's time did, or a fault in native code.",
        "See the end of {log}. sft-wizard resume goes on from the last checkpoint.",
    ),
    "crashed_reboot": Message(
        "The machine was restarted while the run was going.",
        "sft-wizard resume goes on from the last checkpoint. The log: {log}",
    ),
    "killed": Message("Killed on request, without saving.", "sft-wizard resume goes on from the last checkpoint."),
    "retry_smaller": Message("Started again with less memory: {changes}."),
    "no_runs": Message(
        "There are no runs yet, or none that this user's index knows.",
        "Start one with: sft-wizard --replay FILE. The path of a run folder always works.",
    ),
    "run_unknown": Message(
        "There is no run {given}.",
        "Give an id, the beginning of one, or the path of a run folder. The newest: {runs}. All: sft-wizard runs",
    ),
    "run_ambiguous": Message("{given} fits several runs.", "Give more of it, or the path of one: {runs}"),
    "runs_alive": Message("Several runs are going.", "Say which one: {runs}"),
    "compare_count": Message(
        "{count} runs were named; two to {most} can be compared.", "sft-wizard runs lists all runs."
    ),
    "run_over": Message("Run {run} does not go on any more: it is {state}.", "sft-wizard runs lists all runs."),
    "still_alive": Message("Run {run} is still going.", "To watch it: sft-wizard attach {run}"),
    "run_alive": Message("Run {run} is still going.", "Stop it first: sft-wizard stop {run}"),
    "kill_elsewhere": Message(
        "Run {run} belongs to {host}, another machine or container: it cannot be killed from here.",
        "Log in there, or ask it to save and end: sft-wizard stop {run}",
    ),
    "kill_unverified": Message(
        "No process could be made out for certain as the worker of run {run}, so none is killed.",
        "Ask it to save and end: sft-wizard stop {run}",
    ),
    "board_missing": Message(
        "TensorBoard is not installed.", "Install it into the same environment: pip install tensorboard"
    ),
    "ports_taken": Message(
        "The ports {first} to {last} are all in use.",
        "End what uses them (ss -ltnp lists it), or start it on another: tensorboard --logdir {folder} "
        "--host 127.0.0.1 --port {free}",
    ),
    "board_died": Message("TensorBoard did not start: {reason}", "Details: {log}"),
    "no_curves": Message(
        "This run writes no files for TensorBoard.", "Set report_to: tensorboard; the loss is drawn here all the same."
    ),
    "ends_with_job": Message(
        "The run ends with Slurm job {job}, whatever happens to this command.",
        "Without --detach, batch scripts wait for it: sft-wizard --replay FILE",
    ),
    "ends_with_session": Message(
        "This machine ends a user's processes at logout (logind, KillUserProcesses=yes): the run would end with them.",
        "Start it outside of the session: loginctl enable-linger && systemd-run --user --scope sft-wizard …",
    ),
    "ends_with_container": Message(
        "The run ends with this container, which ends with the command that started it.",
        "Keep that command going: start without --detach, or from a shell opened with docker exec or kubectl exec.",
    ),
}
