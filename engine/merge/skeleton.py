"""A model whose base weights take no memory, with the real adapter on it.

Every base parameter is a stand-in: a CPU fp32 tensor of the right shape that owns four bytes, all of it NaN, so that a
weight that somebody forgot to load shows in the result. peft's own loading puts the adapter in place, so no adapter
key is parsed here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from peft import PeftConfig, PeftModel, get_peft_model
from peft.tuners.lora import Embedding as LoraEmbedding
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper, ModulesToSaveWrapper
from peft.utils.save_and_load import load_peft_weights, set_peft_model_state_dict
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.initialization import no_init_weights

from engine.errors import ConfigError, Problem
from engine.text import Phrase

_ADAPTER_PARAMETER = re.compile(r"\.(lora_|modules_to_save\.|token_adapter\.trainable)")
_MISMATCH = re.compile(
    r"size mismatch for (\S+): copying a param with shape \S*?\((.*?)\)? from.*? is \S*?\((.*?)\)?\."
)
_SHOWN = 3


@dataclass(frozen=True)
class Skeleton:
    """`peft_model` wraps `model`. `shapes`: the base model's own parameters and persistent buffers before wrapping.

    `units`: {module name in the base model: outermost peft wrapper}; nothing else is changed by the adapter, except
    base parameters that the adapter file replaces outright (`replaced`, for bias="all"). `carried`: copies of wrapped
    base weights that came with the adapter, which peft adds for embeddings; peft computes with those.
    `tied`: {parameter: the parameter it shares its tensor with}.
    """

    peft_model: Any
    model: Any
    shapes: dict[str, tuple[int, ...]]
    units: dict[str, Any]
    replaced: dict[str, torch.Tensor]
    carried: dict[str, torch.Tensor]
    tied: dict[str, str]

    def owner(self, parameter: str) -> str | None:
        """The unit that a base parameter belongs to."""
        parts = parameter.split(".")
        return next((name for i in range(len(parts), 0, -1) if (name := ".".join(parts[:i])) in self.units), None)


def is_stand_in(tensor: torch.Tensor) -> bool:
    return tensor.numel() > 1 and tensor.untyped_storage().nbytes() <= 4


def empty_model(folder: Path, trust_remote_code: bool, vocabulary: int | None = None, *, on_meta: bool = False) -> Any:
    """The model of a folder's config.json in eval mode with stand-ins for weights, buffers computed in fp32.

    `vocabulary` rows in embedding and head where given; `on_meta` leaves the weights on the meta device.
    Raises ConfigError `merge_model_unknown` when transformers cannot build it.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        if vocabulary is not None:
            config.get_text_config().vocab_size = vocabulary
        multimodal = type(config) in AutoModelForImageTextToText._model_mapping
        auto = AutoModelForImageTextToText if multimodal else AutoModelForCausalLM
        with init_empty_weights(include_buffers=False), no_init_weights():
            model = auto.from_config(config, dtype=torch.float32, trust_remote_code=trust_remote_code)
    except (ValueError, KeyError, ImportError, AttributeError, TypeError) as error:
        params = {"folder": str(folder), "reason": _first_line(error)}
        raise ConfigError(Problem("merge_model_unknown", params)) from error
    model.tie_weights()
    if not on_meta:
        fill_with_stand_ins(model)
    return model.eval()


def fill_with_stand_ins(model: Any) -> None:
    """Replace what lies on the meta device; a parameter met twice stays one object, so tied stays tied."""
    seen: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and parameter.device.type == "meta":
                module._parameters[name] = seen.setdefault(id(parameter), _stand_in(parameter))
        for name, buffer in list(module._buffers.items()):
            if buffer is not None and buffer.device.type == "meta":
                module._buffers[name] = torch.zeros((), dtype=buffer.dtype).expand(buffer.shape)


def load_skeleton(
    base: Path, adapter: Path, trust_remote_code: bool = False, vocabulary: int | None = None
) -> Skeleton:
    """Build the base model's skeleton and put the adapter on it; adapter tensors end up in fp32 on the CPU.

    `vocabulary`: rows of embedding and head in training, where that is not the base's.
    Raises ConfigError: the model cannot be built, or the adapter does not fit it (with names and both shapes).
    """
    model = empty_model(base, trust_remote_code, vocabulary)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
    peft_model = _with_adapter(model, adapter)
    root = peft_model.base_model.model
    _refuse_incomplete(peft_model)
    skeleton = Skeleton(peft_model, root, shapes, dict(_wrappers(root)), {}, {}, tied)
    for name, parameter in _base_parameters(root):
        if name in shapes and parameter.numel() > 1 and not is_stand_in(parameter):
            whole = skeleton.owner(name) is None or name.endswith(".bias")
            (skeleton.replaced if whole else skeleton.carried)[name] = parameter.data
    return skeleton


def is_plain_linear(layer: Any) -> bool:
    """Whether the layer computes base(x) + scaling * B(A(x)) and nothing else."""
    return type(layer) is LoraLinear and type(layer.base_layer) is torch.nn.Linear and _no_variant(layer)


def is_plain_embedding(layer: Any) -> bool:
    """The same for a lookup."""
    return type(layer) is LoraEmbedding and _no_variant(layer) and layer.base_layer.max_norm is None


def _no_variant(layer: Any) -> bool:
    return (
        not layer.lora_variant
        and not any(layer.lora_bias.values())
        and not getattr(layer, "fan_in_fan_out", False)
        and list(layer.scaling) == ["default"]
    )


def same_change(first: Any, second: Any) -> bool:
    """Whether the wrappers of a tied pair hold the same change; judged by tensors, not by the configuration."""
    if any(getattr(m, "tied_adapter", None) is not None for unit in (first, second) for m in unit.modules()):
        return True  # trainable_token_indices: one change, shared
    if isinstance(first, ModulesToSaveWrapper) and isinstance(second, ModulesToSaveWrapper):
        return torch.equal(first.modules_to_save["default"].weight, second.modules_to_save["default"].weight)
    for lookup, head in ((first, second), (second, first)):
        if isinstance(lookup, LoraEmbedding) and isinstance(head, LoraLinear):
            a, b = lookup.lora_embedding_A["default"], lookup.lora_embedding_B["default"]
            return (
                lookup.scaling == head.scaling
                and torch.equal(a.T, head.lora_B["default"].weight)
                and torch.equal(b.T, head.lora_A["default"].weight)
            )
    return False


def _stand_in(parameter: torch.Tensor) -> torch.nn.Parameter:
    value = torch.full((), torch.nan, dtype=torch.float32)
    return torch.nn.Parameter(value.expand(parameter.shape), requires_grad=False)


def _with_adapter(model: Any, adapter: Path) -> PeftModel:
    config = PeftConfig.from_pretrained(str(adapter))
    config.inference_mode = True
    trained_on = str(config.base_model_name_or_path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft's words on tied weights are about its own merge
            peft_model = get_peft_model(model, config, low_cpu_mem_usage=True, autocast_adapter_dtype=False)
            fill_with_stand_ins(peft_model)
            weights = load_peft_weights(str(adapter), device="cpu")
            result: Any = set_peft_model_state_dict(peft_model, weights, low_cpu_mem_usage=True)
    except RuntimeError as error:
        found = _MISMATCH.findall(str(error))
        if not found:
            raise ConfigError(Problem("merge_adapter_unusable", {"reason": _first_line(error)})) from error
        tensors = [
            Phrase("{name} is [{ours}], the base needs [{theirs}]", {"name": name, "ours": ours, "theirs": theirs})
            for name, ours, theirs in found
        ]
        raise _does_not_fit(tensors, trained_on) from error
    except KeyError as error:
        raise ConfigError(Problem("merge_adapter_incomplete", _listed([str(error.args[0])]))) from error
    except (ValueError, TypeError, NotImplementedError, AttributeError, ImportError) as error:
        raise ConfigError(Problem("merge_adapter_unusable", {"reason": _first_line(error)})) from error
    unexpected = [name for name in result.unexpected_keys if not _saved_twice(name, weights)]
    if unexpected:
        extra = [Phrase("the base has no place for {name}", {"name": name}) for name in unexpected]
        raise _does_not_fit(extra, trained_on)
    for parameter in peft_model.parameters():
        if not is_stand_in(parameter) and parameter.is_floating_point():
            parameter.data = parameter.data.float()
    return peft_model


def _saved_twice(name: str, weights: dict[str, torch.Tensor]) -> bool:
    """Beside a table that changed its size peft saves the same tensor under its module's inner name."""
    copy = weights.get(name.replace(".modules_to_save.", "."))
    return copy is not None and ".modules_to_save." in name and torch.equal(copy, weights[name])


def _refuse_incomplete(peft_model: Any) -> None:
    pattern = re.compile(r"\.(lora_\w+|modules_to_save\.default|trainable_tokens_delta)\b")
    names = [n for n, p in peft_model.named_parameters() if pattern.search(n) and ".base_layer." not in n]
    parameters = dict(peft_model.named_parameters())
    missing = [name for name in names if is_stand_in(parameters[name])]
    if missing:
        raise ConfigError(Problem("merge_adapter_incomplete", _listed(missing)))


def _wrappers(root: Any) -> Iterator[tuple[str, Any]]:
    found: list[str] = []
    for name, module in root.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found[-1:])
        if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper) and not inside:
            found.append(name)
            yield name, module


def base_name(name: str) -> str:
    """A parameter or module name inside the wrapped model as the base model has it."""
    return name.replace(".base_layer", "").replace(".original_module", "").replace(".token_adapter", "")


def _base_parameters(root: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
    for name, parameter in root.named_parameters():
        if not _ADAPTER_PARAMETER.search(name):
            yield base_name(name), parameter


def _does_not_fit(tensors: list[Phrase], trained_on: str) -> ConfigError:
    return ConfigError(Problem("merge_adapter_does_not_fit", {**_listed(tensors), "trained_on": trained_on}))


def _listed(names: Sequence[str | Phrase]) -> dict[str, Any]:
    rest = len(names) - _SHOWN
    return {"tensors": names[:_SHOWN], "more": Phrase(" and {rest} more", {"rest": rest}) if rest > 0 else ""}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
