"""The domain of sft-wizard: configs, data, training, merging, runs.

Nothing in here draws on a screen, and nothing here imports torch, transformers, peft or datasets at module level
except the modules that a worker process runs (named in docs/architecture.md).
"""

__version__ = "0.1.0"
