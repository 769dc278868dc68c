"""Keys of the data: which sets, how they become tokens, what is learnt of them."""

from __future__ import annotations

from typing import Annotated, Literal

from engine.config.key import TEMPLATE, Names, key
from engine.config.method_keys import MethodKeys


class DataKeys(MethodKeys, kw_only=True, forbid_unknown_fields=True):
    """What LLaMA-Factory calls DataArguments, and two of our own: drop_long and strict_compat."""

    dataset_dir: Annotated[str, key("Folder that holds dataset_info.json.", path=True)] = "data"
    dataset: Annotated[Names | None, key("Names in dataset_info.json, several with commas.", basic=True)] = None
    eval_dataset: Annotated[Names | None, key("Names of the sets to measure on, instead of val_size.", expert=True)] = (
        None
    )
    template: Annotated[str | None, TEMPLATE] = None
    cutoff_len: Annotated[
        int, key("Longest sample in tokens; longer ones are cut.", usual="512–4096", ge=1, le=10_000_000, basic=True)
    ] = 2048
    max_samples: Annotated[int | None, key("Take only the first rows of each dataset.", ge=1)] = None
    overwrite_cache: Annotated[bool, key("Tokenise again even where a cached result fits.", identity=False)] = False
    preprocessing_num_workers: Annotated[
        int | None, key("Threads for tokenising at most.", usual="your cores", ge=1, le=1024, identity=False)
    ] = None
    dataloader_num_workers: Annotated[
        int,
        key("Processes that load batches; 0 loads in the training process.", usual="0–4", ge=0, le=256, identity=False),
    ] = 0
    val_size: Annotated[
        float, key("Rows held back to measure on: a share below 1, or a count.", usual="0.01–0.1", ge=0)
    ] = 0.0
    train_on_prompt: Annotated[bool, key("Learn the questions too, not the answers alone.", expert=True)] = False
    mask_history: Annotated[bool, key("Learn the last answer of each conversation only.", expert=True)] = False
    packing: Annotated[
        bool | None,
        key("Fill rows up to cutoff_len with several samples, which then see each other; not exact.", expert=True),
    ] = None
    neat_packing: Annotated[bool, key("Packing, with samples that do not see each other.", expert=True)] = False
    drop_long: Annotated[
        bool, key("Leave out longer samples instead of cutting them (not LLaMA-Factory's).", expert=True)
    ] = False
    strict_compat: Annotated[
        bool, key("Reproduce LLaMA-Factory 0.9.5's bugs that change tokens (not LLaMA-Factory's).", expert=True)
    ] = False
    mix_strategy: Annotated[
        Literal["concat", "interleave_under", "interleave_over", "interleave_once"],
        key(
            "How several sets are joined: one after the other, or in turn until the first or the last is used up.",
            expert=True,
        ),
    ] = "concat"
    interleave_probs: Annotated[
        str | float | list[str | float] | None, key("Share of each set where they are interleaved.", expert=True)
    ] = None
    preprocessing_batch_size: Annotated[
        int, key("Rows tokenised together; packing fills rows from one such group.", ge=1, expert=True)
    ] = 1000
    ignore_pad_token_for_loss: Annotated[bool, key("Must stay true: padding is never learnt.", expert=True)] = True
    eval_on_each_dataset: Annotated[bool, key("Measure on each of eval_dataset by itself.", expert=True)] = False
    tool_format: Annotated[
        str | None, key("How tools are written out, where not as the template does.", expert=True)
    ] = None
    default_system: Annotated[str | None, key("System prompt of rows without one.", expert=True)] = None
    enable_thinking: Annotated[
        bool | None,
        key(
            "Reasoning templates: true learns empty thoughts, false removes thoughts, null learns those there are.",
            expert=True,
        ),
    ] = True
    preserve_thinking: Annotated[
        bool, key("Reasoning templates: keep the thoughts of earlier answers.", expert=True)
    ] = False
    tokenized_path: Annotated[
        str | None,
        key(
            "Tokenised data: read from here if it is there, else written here.", path=True, identity=False, expert=True
        ),
    ] = None
