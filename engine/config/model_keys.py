"""Keys of the model: which one, its vocabulary, its attention, its number format."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from engine.config.key import ADAPTERS, HUB_FOLDER, MODEL, REMOTE_CODE, REVISION, Names, key


class ModelKeys(Struct, kw_only=True, forbid_unknown_fields=True):
    """What LLaMA-Factory calls ModelArguments, as far as training uses them."""

    model_name_or_path: Annotated[str, MODEL]
    adapter_name_or_path: ADAPTERS = None
    adapter_folder: Annotated[
        str | None, key("Folder inside adapter_name_or_path that holds the adapter.", expert=True)
    ] = None
    cache_dir: Annotated[str | None, HUB_FOLDER] = None
    model_revision: Annotated[str, REVISION] = "main"
    resize_vocab: Annotated[bool, key("Grow the embeddings where the tokenizer has more tokens.", expert=True)] = False
    split_special_tokens: Annotated[bool, key("Read special tokens in the data as ordinary text.", expert=True)] = False
    add_tokens: Annotated[Names | None, key("New ordinary tokens; the embeddings grow with them.", expert=True)] = None
    add_special_tokens: Annotated[
        Names | None, key("New special tokens; the embeddings grow with them.", expert=True)
    ] = None
    new_special_tokens_config: Annotated[
        str | None, key("YAML file of new special tokens and a description of each.", path=True, expert=True)
    ] = None
    init_special_tokens: Annotated[
        Literal["noise_init", "desc_init", "desc_init_w_noise"],
        key(
            "Where the embeddings of new tokens start: mean plus noise, or what their descriptions embed to.",
            expert=True,
        ),
    ] = "noise_init"
    rope_scaling: Annotated[
        Literal["linear", "dynamic", "yarn", "llama3"] | None,
        key("Stretch the positions where cutoff_len is beyond what the model knows.", expert=True),
    ] = None
    flash_attn: Annotated[
        Literal["auto", "disabled", "sdpa", "fa2", "fa3"],
        key(
            "Attention kernel: auto is the exact packed one; disabled (eager) and sdpa pad instead.",
            identity=False,
            expert=True,
        ),
    ] = "auto"
    enable_liger_kernel: Annotated[
        bool, key("Fused kernels of liger-kernel, on GPUs (exact up to rounding).", identity=False, expert=True)
    ] = False
    moe_aux_loss_coef: Annotated[
        float | None,
        key("Weight of the loss that balances the experts of a mixture-of-experts model.", ge=0, expert=True),
    ] = None
    upcast_layernorm: Annotated[bool, key("Keep the normalisation weights in fp32.", expert=True)] = False
    train_from_scratch: Annotated[bool, key("Start from random weights instead of the model's.", expert=True)] = False
    trust_remote_code: Annotated[bool, REMOTE_CODE] = False
    quantization_bit: Annotated[
        Literal[4, 8] | None,
        key("Load the base in 4 or 8 bits (bitsandbytes, GPU): less memory, slower, not exact.", usual="none, or 4"),
    ] = None
    quantization_method: Annotated[Literal["bnb", "bitsandbytes"], key("Who quantises: bnb is bitsandbytes.")] = "bnb"
    quantization_type: Annotated[Literal["nf4", "fp4"], key("Number format of a 4-bit base.", usual="nf4")] = "nf4"
    double_quantization: Annotated[bool, key("Quantise the scales of a 4-bit base too.")] = True
