"""How conversations become tokens and labels: the choices of a train config that change them, gathered."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.schema import TrainConfig


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """What of a TrainConfig decides on tokens and labels; the names and meanings are its keys'.

    `strict` reproduces LLaMA-Factory 0.9.5's bugs that change tokens (docs/compatibility.md).
    """

    cutoff_len: int
    train_on_prompt: bool = False
    mask_history: bool = False
    enable_thinking: bool | None = True
    preserve_thinking: bool = False
    split_special_tokens: bool = False
    drop_long: bool = False
    packing: bool = False  # also true with neat_packing
    neat_packing: bool = False
    batch_size: int = 1000  # rows tokenised together: the window of packing
    shards: int = 1  # contiguous parts of the data whose windows are apart, as LLaMA-Factory's workers have them
    strict: bool = False

    @property
    def limit(self) -> int:
        """Tokens of a sample at most: one less than cutoff_len where samples are packed, as in LLaMA-Factory."""
        return self.cutoff_len - 1 if self.packing else self.cutoff_len

    @classmethod
    def of(cls, config: TrainConfig) -> EncodeOptions:
        """The options of a config."""
        packing = bool(config.packing) or config.neat_packing
        return cls(
            cutoff_len=config.cutoff_len,
            train_on_prompt=config.train_on_prompt,
            mask_history=config.mask_history,
            enable_thinking=config.enable_thinking,
            preserve_thinking=config.preserve_thinking,
            split_special_tokens=config.split_special_tokens,
            drop_long=config.drop_long,
            packing=packing,
            neat_packing=config.neat_packing,
            # Of no effect without packing: so that they do not tell tokens apart that are the same.
            batch_size=config.preprocessing_batch_size if packing else 1000,
            shards=(config.preprocessing_num_workers or 1) if packing else 1,
            strict=config.strict_compat,
        )
