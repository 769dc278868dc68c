"""The commands by name; names that people bring along from other tools lead to ours."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

FAMILIAR = {
    "status": "runs",
    "list": "runs",
    "ls": "runs",
    "ps": "runs",
    "tail": "logs -f",
    "log": "logs",
    "watch": "attach",
    "kill": "stop --kill",
    "webui": "",
    "web": "",
    "ui": "",
    "wizard": "",
    "version": "--version",
    "help": "--help",
}


class Commands(TyperGroup):
    """Says which command a familiar name stands for, in English as all that is said before the language is known."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Of the first argument. Raises UsageError where it is none."""
        if args[0] in FAMILIAR and self.get_command(ctx, args[0]) is None:
            ours = f"sft-wizard {FAMILIAR[args[0]]}".rstrip()
            ctx.fail(f"No such command '{args[0]}'. What you look for is: {ours}")
        return super().resolve_command(ctx, args)
