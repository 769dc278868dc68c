"""Samples to token ids and labels, with LLaMA-Factory's truncation, and what became of every row."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import batched
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.conversation import Conversation, Origin, Sample
from engine.data.segments import AutoSegmenter, NamedSegmenter, Pair, Segmenter, Segments, chat_messages
from engine.data.templates import Template, encode_texts, encode_turns, stop_token_ids
from engine.errors import ConfigError, DataError, Problem, StopRequested

IGNORE = -100
CHUNK = 1000  # rows tokenised by one call: fractions of a second, so that a stop is heard soon
FIRST = 3  # rows named in a report
