"""Fields of a model's config.json, read without trust: a number that cannot be one is named, never computed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import ConfigError, Problem
from engine.text import Phrase

LARGEST = 10**8  # of a width, a vocabulary or a count: anything beyond is a mistake
_OTHER_NAMES = {  # what GPT-2, Bloom and their kin call it
    "hidden_size": ("n_embd", "d_model", "n_embed"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("num_kv_heads",),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size"),
    "max_position_embeddings": ("n_positions",),
    "num_experts": ("num_local_experts",),
}
_MISSING = object()


@dataclass(frozen=True)
class Fields:
    """The fields of the language model in a config, with what its family takes for those that are not there.

    where: the file, for a person. Null counts as not there.
    """

    values: Mapping[str, Any]
    where: str
    defaults: Mapping[str, Any]

    def count(self, name: str, default: Any = _MISSING, *, least: int = 1) -> int:
        """A whole number from `least`. Raises ConfigError model_config_incomplete where it is missing or is none."""
        found = self._get(name)
        if found is None:
            if default is _MISSING:
                self._refuse(name, Phrase("it is not there"))
            return int(default)
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= LARGEST:
            self._refuse(name, Phrase("it is {found}", {"found": repr(found)[:40]}))
        return int(found)

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes or no; anything else counts as not there."""
        found = self._get(name)
        return found if isinstance(found, bool) else default

    def number(self, name: str) -> float | None:
        """A number, or None where there is none."""
        found = self._get(name)
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    def text(self, name: str, default: str = "") -> str:
        """Text, or the default where there is none."""
        found = self._get(name)
        return found if isinstance(found, str) else default

    def items(self, name: str) -> Sequence[Any]:
        """A list; empty where there is none."""
        found = self._get(name)
        return found if isinstance(found, list | tuple) else ()

    def table(self, name: str) -> Mapping[str, Any]:
        """An object; empty where there is none."""
        found = self._get(name)
        return found if isinstance(found, Mapping) else {}

    def _get(self, name: str) -> Any:
        for one in (name, *_OTHER_NAMES.get(name, ())):
            if self.values.get(one) is not None:
                return self.values[one]
        return self.defaults.get(name)

    def _refuse(self, name: str, reason: Phrase) -> None:
        params = {"field": name, "reason": reason}
        raise ConfigError(Problem("model_config_incomplete", params, "model_name_or_path", file=self.where))
