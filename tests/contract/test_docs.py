"""docs/configs.md lists the keys of config.yaml as the schema has them; docs/keys.md those of training and merging."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from engine.config.schema import DataSource, WizardConfig, fields, hints, meta
from engine.config.values import expected

PAGE = (Path(__file__).parents[2] / "docs" / "configs.md").read_text(encoding="utf-8") + "\n"
HEAD = "| key | takes | default | what it does |\n|---|---|---|---|\n"


def shown(value: Any) -> str:
    """A default as it is written in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def row(struct: type[msgspec.Struct], name: str) -> str:
    """A line of the table."""
    field, about = fields(struct)[name], meta(struct, name)
    extra = about.extra or {}
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    kind = hints(struct)[name].__origin__
    takes = "a mapping" if get_origin(kind) is dict else str(expected(struct, name))
    if DataSource in get_args(kind):
        takes += " (below)"
    text = f"{about.description} Usual: {extra['usual']}." if extra["usual"] else about.description or ""
    cells = [f"`{name}`", takes, "required" if field.required else f"`{shown(default)}`"]
    return f"| {' | '.join([*cells, text.replace('<', '&lt;')])} |\n"


@pytest.mark.parametrize("struct", [WizardConfig, DataSource])
def test_every_key_stands_in_the_docs_with_its_default(struct: type[msgspec.Struct]) -> None:
    """A page that names a wrong default sends people into runs that they did not ask for."""
    table = HEAD + "".join(row(struct, name) for name in fields(struct))
    assert table + "\n" in PAGE, f"put this table of {struct.__name__} into docs/configs.md:\n{table}"


def test_a_key_that_is_not_there_would_be_missed() -> None:
    """The rows are compared whole: this one has a default that the page must not have."""
    true = row(DataSource, "format")
    assert true in PAGE
    assert true.replace("`alpaca`", "`sharegpt`") not in PAGE
