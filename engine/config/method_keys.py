"""Keys of the method: what is trained, and how it is wrapped around the model."""

from __future__ import annotations

from typing import Annotated, Literal

from engine.config.key import Names, key
from engine.config.model_keys import ModelKeys


class MethodKeys(ModelKeys, kw_only=True, forbid_unknown_fields=True):
    """What LLaMA-Factory calls FinetuningArguments, as far as supervised fine-tuning uses them."""

    stage: Annotated[Literal["sft"], key("The kind of training: sft, supervised fine-tuning.")] = "sft"
    do_train: Annotated[bool, key("Train.", identity=False)] = True
    do_predict: Annotated[
        bool, key("Answer the questions of eval_dataset; with predict_with_generate.", expert=True)
    ] = False
    finetuning_type: Annotated[
        Literal["lora", "freeze", "full"],
        key("lora trains a small adapter and leaves the base as it is; freeze trains some layers, full everything."),
    ] = "lora"
    lora_target: Annotated[
        Names, key("Which linear layers get an adapter: all, or names such as q_proj,v_proj.", usual="all")
    ] = "all"
    lora_rank: Annotated[
        int,
        key("Size of the adapter: higher learns more and takes more memory.", usual="4–64", ge=1, le=4096, basic=True),
    ] = 8
    lora_alpha: Annotated[
        int | None, key("Strength of the adapter.", usual="twice the rank", ge=0, le=65536, basic=True)
    ] = None
    lora_dropout: Annotated[
        float, key("Share of adapter inputs dropped while training, against overfitting.", usual="0–0.1", ge=0, lt=1)
    ] = 0.0
    use_rslora: Annotated[bool, key("Scale by alpha/sqrt(rank) instead of alpha/rank, for high ranks.")] = False
    additional_target: Annotated[
        Names | None, key("Modules trained in full and saved with the adapter, such as embed_tokens,lm_head.")
    ] = None
    create_new_adapter: Annotated[
        bool, key("Merge the given adapters into the base and begin a new one.", expert=True)
    ] = False
    loraplus_lr_ratio: Annotated[
        float | None, key("LoRA+: how much faster the B matrices learn than the A ones.", usual="16", gt=0, expert=True)
    ] = None
    loraplus_lr_embedding: Annotated[
        float, key("LoRA+: learning rate of adapters on embeddings.", gt=0, expert=True)
    ] = 1e-6
    use_dora: Annotated[
        bool, key("DoRA: learn the length of each weight apart from its direction; slower.", expert=True)
    ] = False
    pissa_init: Annotated[
        bool, key("PiSSA: start the adapter from the largest singular values of the base.", expert=True)
    ] = False
    pissa_iter: Annotated[
        int, key("PiSSA: steps of the fast decomposition; -1 for the exact one.", ge=-1, expert=True)
    ] = 16
    pissa_convert: Annotated[
        bool, key("PiSSA: also write the result as an ordinary LoRA of twice the rank.", expert=True)
    ] = False
    freeze_trainable_layers: Annotated[
        int, key("freeze: how many layers learn, counted from the last; negative from the first.", expert=True)
    ] = 2
    freeze_trainable_modules: Annotated[
        Names, key("freeze: which parts of these layers learn: all, or names.", expert=True)
    ] = "all"
    freeze_extra_modules: Annotated[
        Names | None, key("freeze: other modules that learn, such as embed_tokens.", expert=True)
    ] = None
    pure_bf16: Annotated[bool, key("Keep what is trained in bfloat16 too: less memory, not exact.", expert=True)] = (
        False
    )
    use_dft_loss: Annotated[bool, key("DFT: weigh each token's loss by its probability.", expert=True)] = False
    use_eaft_loss: Annotated[
        bool, key("EAFT: weigh each token's loss by the entropy of the prediction.", expert=True)
    ] = False
    eaft_alpha: Annotated[float, key("EAFT: power of that weight.", ge=0, expert=True)] = 1.0
    use_muon: Annotated[bool, key("Muon as the optimiser of the matrices, AdamW of the rest.", expert=True)] = False
