"""Names of commands that people bring along."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from tui.cli import app
from tui.commands import FAMILIAR


@pytest.mark.parametrize("name", FAMILIAR)
def test_a_familiar_name_leads_to_ours(name: str) -> None:
    """What it leads to must be there: a hint that is wrong is worse than none."""
    refused = CliRunner().invoke(app, [name])
    assert refused.exit_code == 2 and f"sft-wizard {FAMILIAR[name]}".rstrip() in refused.output
    assert CliRunner().invoke(app, [*FAMILIAR[name].split(), "--help"]).exit_code == 0


def test_any_other_name_is_refused_as_ever() -> None:
    refused = CliRunner().invoke(app, ["rusn"])
    assert refused.exit_code == 2 and "Did you mean 'runs'" in refused.output
