"""docs/configs.md lists every key as the schema has it: what it takes, its default, what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from engine.config.checking import expected, key_table
from engine.config.schema import DataSource, MergeConfig, TrainConfig, WizardConfig, fields, hints, meta

PAGE = (Path(__file__).parents[2] / "docs" / "configs.md").read_text(encoding="utf-8")
HEAD = "| key | takes | default | what it does |\n|---|---|---|---|\n"


def shown(value: Any) -> str:
    """A default as it is written in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def row(struct: type[msgspec.Struct], name: str) -> str:
    """A line of the table; a star in Train marks keys that do not change what is learned."""
    field, about = fields(struct)[name], meta(struct, name)
    extra = about.extra or {}
    star = " *" if struct is TrainConfig and not extra["identity"] else ""
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    kind = hints(struct)[name].__origin__
    takes = "a mapping" if get_origin(kind) is dict else str(expected(struct, name))
    if DataSource in get_args(kind):
        takes += " (below)"
    text = f"{about.description} Usual: {extra['usual']}." if extra["usual"] else about.description or ""
    cells = [f"`{name}`{star}", takes, "required" if field.required else f"`{shown(default)}`"]
    return f"| {' | '.join([*cells, text.replace('<', '&lt;')])} |\n"


@pytest.mark.parametrize("struct", [TrainConfig, MergeConfig, WizardConfig, DataSource])
def test_every_key_stands_in_the_docs_with_its_default(struct: type[msgspec.Struct]) -> None:
    """A page that names a wrong default sends people into runs that they did not ask for."""
    table = HEAD + "".join(row(struct, name) for name in fields(struct))
    assert table + "\n" in PAGE, f"put this table of {struct.__name__} into docs/configs.md:\n{table}"


@pytest.mark.parametrize("group", ["passed", "no_effect", "refused", "aliases"])
def test_the_other_keys_are_named(group: str) -> None:
    assert [name for name in key_table()[group] if f"`{name}`" not in PAGE] == []


def test_a_key_that_is_not_there_would_be_missed() -> None:
    """The rows are compared whole: this one has a default that the page must not have."""
    true = row(TrainConfig, "lora_rank")
    assert true in PAGE
    assert true.replace("`8`", "`9`") not in PAGE
