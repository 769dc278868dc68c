"""The words of the trade in a sentence or two, as data: `?` in the wizard and `sft-wizard explain` read them.

A term's `topics` are the questions and steps that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.advice import ADVICE, Advice
from engine.text import Phrase, Translate, verbatim


@dataclass(frozen=True)
class Term:
    """name: as people say it. also: other words under which it is looked for, keys among them."""

    name: Phrase
    meaning: Phrase
    topics: tuple[str, ...] = ()
    also: str = ""


def _key(*names: str) -> tuple[str, ...]:
    return tuple(f"train.{name}" for name in names)


TERMS: tuple[Term, ...] = (
    Term(
        verbatim("LoRA"),
        Phrase("Training that leaves the model as it is and learns a small addition to its layers, the adapter."),
        ("model", "preset", *_key("lora_rank", "lora_target")),
        "low-rank adaptation fine-tuning peft",
    ),
    Term(
        Phrase("adapter"),
        Phrase("What LoRA learns: a small file, of use only with the model that it was trained on."),
        ("finish", "merge", *_key("lora_rank", "lora_alpha", "additional_target")),
        "lora",
    ),
    Term(
        Phrase("base model"),
        Phrase("The model that training begins with. Its files are never changed."),
        ("model", "chat"),
        "weights instruct",
    ),
    Term(
        Phrase("base or instruct"),
        Phrase("An instruct model answers questions already; a base one only continues text and needs more rows."),
        ("model",),
        "chat model pretrained",
    ),
    Term(
        Phrase("parameters"),
        Phrase("The numbers that a model consists of: 8B are eight billion, which take 16 GB in 16 bits."),
        ("model",),
        "size 7B 8B weights",
    ),
    Term(
        Phrase("rank"),
        Phrase(
            "How many directions the adapter has in each layer, and so how much it can hold. More takes more memory."
        ),
        ("preset", *_key("lora_rank", "use_rslora")),
        "lora_rank r",
    ),
    Term(
        Phrase("alpha"),
        Phrase("How strongly the adapter counts: it is scaled by alpha / rank. Twice the rank is usual."),
        _key("lora_alpha", "use_rslora"),
        "lora_alpha scale",
    ),
    Term(
        Phrase("target"),
        Phrase("The layers that get an adapter. all means every linear layer but the output."),
        _key("lora_target"),
        "lora_target modules q_proj v_proj",
    ),
    Term(
        verbatim("rsLoRA"),
        Phrase("The adapter is scaled by alpha / sqrt(rank), so that high ranks learn as fast as low ones."),
        _key("use_rslora"),
        "use_rslora",
    ),
    Term(
        verbatim("DoRA"),
        Phrase("LoRA that learns the length of each weight apart from its direction. Slower; use_dora in the file."),
        _key("lora_rank"),
        "use_dora",
    ),
    Term(
        Phrase("dropout"),
        Phrase("Leaving out a random share while training, so that nothing is learnt by heart."),
        _key("lora_dropout"),
        "lora_dropout overfitting",
    ),
    Term(
        verbatim("NEFTune"),
        Phrase("Noise on the embeddings while training, for chattier answers. neftune_noise_alpha in the file."),
        (),
        "neftune_noise_alpha noise",
    ),
    Term(
        Phrase("token"),
        Phrase(
            "A piece of a word: what a model reads and writes. English has about 4 letters a token, Chinese 1 or 2."
        ),
        ("model", "data", "preset", *_key("cutoff_len")),
        "tokenizer tokens",
    ),
    Term(
        Phrase("sample"),
        Phrase("One row of the data: a question with its answer, or a whole conversation."),
        ("data",),
        "row example",
    ),
    Term(
        Phrase("template"),
        Phrase("What stands around each message: headers, end marks, the system prompt. It has to be the model's own."),
        ("model", *_key("template")),
        "chat format prompt",
    ),
    Term(
        Phrase("chat template"),
        Phrase("The template that comes with a model's tokenizer. It is used unless you name another one."),
        _key("template"),
        "jinja tokenizer auto",
    ),
    Term(
        Phrase("system prompt"),
        Phrase("What the model is told before the conversation: who it is and how to answer."),
        ("data", "system"),
        "system",
    ),
    Term(
        Phrase("masking"),
        Phrase("Only the answers are learnt: questions are read, but have no share in the loss."),
        ("data", "map_response"),
        "mask labels train_on_prompt mask_history",
    ),
    Term(
        Phrase("end mark"),
        Phrase("The token after an answer that says: it ends here. A model that never learnt it goes on and on."),
        _key("template"),
        "eos stop repeats endless",
    ),
    Term(
        Phrase("cutoff"),
        Phrase("The longest sample in tokens; what is beyond is cut off. Longer samples take more memory and time."),
        _key("cutoff_len"),
        "cutoff_len context length truncation",
    ),
    Term(
        Phrase("packing"),
        Phrase(
            "Several samples in one row, so that no padding is computed. This tool always does so, exactly: they "
            "do not see each other."
        ),
        _key("cutoff_len", "per_device_train_batch_size"),
        "padding row packing",
    ),
    Term(
        verbatim("neat packing"),
        Phrase(
            "LLaMA-Factory's packing of a fixed length, samples apart. Fewer, larger steps; neat_packing in the file."
        ),
        (),
        "neat_packing packing",
    ),
    Term(
        Phrase("epoch"),
        Phrase("One pass over all samples."),
        ("settings", *_key("num_train_epochs")),
        "num_train_epochs pass",
    ),
    Term(
        Phrase("step"),
        Phrase("One change of the adapter, after batch size times accumulation samples."),
        ("settings", *_key("max_steps", "per_device_train_batch_size", "gradient_accumulation_steps")),
        "optimiser step max_steps",
    ),
    Term(
        Phrase("batch"),
        Phrase("Samples that go through the model at a time; more takes more memory."),
        ("preset", *_key("per_device_train_batch_size")),
        "per_device_train_batch_size",
    ),
    Term(
        Phrase("gradient accumulation"),
        Phrase("Several batches before the adapter changes: as good as one large batch, in less memory."),
        ("preset", *_key("gradient_accumulation_steps")),
        "gradient_accumulation_steps",
    ),
    Term(
        Phrase("gradient"),
        Phrase("Which way each number would have to move for the answers to become likelier."),
        _key("max_grad_norm"),
        "grad norm",
    ),
    Term(
        Phrase("learning rate"),
        Phrase("How far a step goes. Too high and the loss jumps, too low and nothing is learnt."),
        ("settings", *_key("learning_rate", "lr_scheduler_type")),
        "learning_rate lr",
    ),
    Term(
        Phrase("scheduler"),
        Phrase("How the learning rate falls over the run; cosine and linear end at zero."),
        _key("lr_scheduler_type"),
        "lr_scheduler_type cosine linear",
    ),
    Term(
        Phrase("warmup"),
        Phrase("The first steps, over which the learning rate rises from zero."),
        _key("warmup_ratio", "warmup_steps"),
        "warmup_ratio warm-up",
    ),
    Term(
        Phrase("optimiser"),
        Phrase("Who turns gradients into steps. AdamW is usual; its 8-bit kind remembers the same in less memory."),
        _key("optim", "adam_beta1", "adam_beta2", "adam_epsilon"),
        "optim adamw adam muon optimizer",
    ),
    Term(
        Phrase("weight decay"),
        Phrase("A small pull of all weights towards zero, against learning by heart."),
        _key("weight_decay"),
        "weight_decay",
    ),
    Term(
        Phrase("seed"),
        Phrase("The number that all chance begins with: the same seed on the same machine makes the same run."),
        _key("seed"),
        "random reproducible",
    ),
    Term(
        Phrase("loss"),
        Phrase("How unlikely the right answers are to the model; it should fall. 0 means known by heart."),
        ("training", *_key("plot_loss", "logging_steps")),
        "curve",
    ),
    Term(
        Phrase("perplexity"),
        Phrase("e to the power of the loss: between how many tokens the model wavers."),
        ("training",),
        "ppl",
    ),
    Term(
        Phrase("evaluation"),
        Phrase("Measuring the loss on rows that are not learnt from. val_size and eval_strategy turn it on."),
        ("training", *_key("eval_strategy", "eval_steps", "val_size", "per_device_eval_batch_size")),
        "eval eval_strategy measure",
    ),
    Term(
        Phrase("validation split"),
        Phrase("The rows that are held back to measure on."),
        _key("val_size"),
        "val_size test held back",
    ),
    Term(
        Phrase("overfitting"),
        Phrase("Learning by heart: the loss in training falls while that of the held-back rows rises."),
        ("training", *_key("num_train_epochs", "lora_dropout", "weight_decay", "val_size")),
        "memorise",
    ),
    Term(
        Phrase("checkpoint"),
        Phrase("The state of a run on disk, from which it goes on after a stop or a crash."),
        _key("save_strategy", "save_steps", "save_total_limit", "save_only_model"),
        "save_steps resume",
    ),
    Term(
        Phrase("gradient checkpointing"),
        Phrase("Computing layers twice instead of keeping them: less memory, the same result, somewhat slower."),
        _key("disable_gradient_checkpointing"),
        "disable_gradient_checkpointing recompute activation",
    ),
    Term(
        Phrase("activations"),
        Phrase("What the layers keep of a sample until the gradients are there. Longer samples, more activations."),
        ("preset",),
        "memory",
    ),
    Term(
        Phrase("video memory (VRAM)"),
        Phrase("The memory of the GPU. Weights, what learns and the activations have to fit into what is free of it."),
        ("hardware", "preset"),
        "vram gpu memory",
    ),
    Term(
        Phrase("preset"),
        Phrase("Settings that fit a given amount of memory: batch, sample length, rank."),
        ("preset",),
        "presets",
    ),
    Term(
        Phrase("quantisation"),
        Phrase(
            "Keeping the base model's numbers in 8 or 4 bits: half or a quarter of the memory, slightly less exact."
        ),
        _key("quantization_bit", "quantization_type", "quantization_method", "double_quantization"),
        "quantization_bit bitsandbytes nf4 4-bit 8-bit quantization",
    ),
    Term(
        verbatim("QLoRA"),
        Phrase("LoRA on a base in 4 bits: quantization_bit 4. A model of 8B then trains on 12 GB and less."),
        _key("quantization_bit"),
        "quantization_bit",
    ),
    Term(
        verbatim("bf16, fp16"),
        Phrase(
            "Numbers of 16 bits. bf16 has the range of 32 bits and is safe, on GPUs from Ampere (RTX 30, A100) on; "
            "fp16 is for older ones."
        ),
        _key("bf16", "fp16"),
        "bfloat16 float16 half precision fp32",
    ),
    Term(
        verbatim("FlashAttention"),
        Phrase("A fast way to compute attention. The packed one that is used here needs no extra package; flash_attn."),
        (),
        "flash_attn flash attention sdpa fa2",
    ),
    Term(
        Phrase("merge"),
        Phrase("Making one model of base and adapter, which any tool can serve. It is checked against the two."),
        ("merge",),
        "export merging",
    ),
    Term(
        verbatim("GGUF"),
        Phrase("The file format of llama.cpp and Ollama. The merged model comes with a Modelfile for Ollama."),
        ("finish",),
        "ollama llama.cpp modelfile",
    ),
    Term(
        Phrase("hub"),
        Phrase(
            "Where models and datasets are kept on the net, by default huggingface.co. HF_ENDPOINT names another one."
        ),
        ("model", "model_hub"),
        "hugging face download gated token HF_ENDPOINT",
    ),
    Term(
        verbatim("TensorBoard"),
        Phrase("A page in the browser that draws the curves of your runs: tensorboard --logdir logs in the project."),
        ("training",),
        "report_to curves",
    ),
    Term(
        Phrase("project"),
        Phrase(
            "A folder with configs, data, adapter and merged model. sft-wizard --replay config.yaml repeats it all."
        ),
        ("project", "review"),
        "folder config.yaml replay",
    ),
)


def terms_of(topic: str) -> tuple[Term, ...]:
    """What belongs to a question or a step."""
    return tuple(term for term in TERMS if topic in term.topics)


def matching(words: str, translate: Translate = str) -> tuple[tuple[Term, ...], tuple[Advice, ...]]:
    """Terms and advice for words typed by a person: those of that very name, else all that mention them."""
    needle = " ".join(words.replace("_", " ").split()).casefold()
    if not needle:
        return TERMS, ADVICE
    named = tuple(term for term in TERMS if needle in (_plain(term.name.say()), _plain(term.name.say(translate))))
    if named:
        return named, ()
    terms = tuple(term for term in TERMS if _mentions(needle, (term.name, term.meaning), term.also, translate))
    advice = tuple(one for one in ADVICE if _mentions(needle, (one.trouble, *one.ways), one.also, translate))
    return terms, advice


def _mentions(needle: str, phrases: Iterable[Phrase], also: str, translate: Translate) -> bool:
    texts = [also, *(phrase.say(translate) for phrase in phrases), *(phrase.say() for phrase in phrases)]
    return any(needle in _plain(text) for text in texts)


def _plain(text: str) -> str:
    return text.replace("_", " ").casefold()
