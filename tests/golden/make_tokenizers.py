"""Make the two small tokenizers that templates are recorded with: run it with any Python that has `tokenizers`.

Writes llamafactory/templates/bytes.json (byte-level BPE, as most models have) and pieces.json (SentencePiece's way: a
space is put in front of each text).
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

FOLDER = Path(__file__).parent / "llamafactory" / "templates"
# Marks that some templates look up, or that make the difference between special tokens and text.
SPECIAL = [
    "<unk>", "<s>", "</s>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "[gMASK]", "sop", "<|system|>", "<|user|>",
    "<|assistant|>", "<|observation|>", "<sep>", "[INST]", "[/INST]", "<start_of_turn>", "<end_of_turn>", "<think>",
    "</think>",
]  # fmt: skip
WORDS = [
    "You are a helpful assistant. The user asks, the assistant answers: question and answer, system prompt.",
    "Where is Oslo? In Norway. What is the weather in Paris? It is sunny, 21 degrees. Thank you very much!",
    'Tool name description parameters {"name": "get_weather", "arguments": {"city": "Paris"}} type object string',
    "Human: Instruction Response Assistant: ### User System\n\n<tools> </tools> <tool_call> </tool_call> function",
]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=480, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.save(str(FOLDER / "bytes.json"), pretty=False)

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    # The leading space is part of the text, as in Llama 2's tokenizer.
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=560, special_tokens=SPECIAL + fallback, show_progress=False, min_frequency=1, max_token_length=8
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.save(str(FOLDER / "pieces.json"), pretty=False)


if __name__ == "__main__":
    main()
