"""Why one row cannot be used: raised where it is noticed, turned into a problem with the row's place."""

from __future__ import annotations

from typing import Any

from engine.data.readers import Row
from engine.errors import Problem


class DroppedRowError(Exception):
    """Why one row cannot be used: problem code, column and parameters."""

    def __init__(self, code: str, key: str | None = None, **params: Any):
        super().__init__(code)
        self.code, self.key, self.params = code, key, params

    def problem(self, row: Row) -> Problem:
        """The reason with the row's place; `row` in the parameters counts from 1."""
        params = {"row": row.number + 1, **self.params}
        return Problem(self.code, params, self.key, row.file, row.line or None, None, "warning")
