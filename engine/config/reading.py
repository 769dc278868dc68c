"""YAML as LLaMA-Factory reads it (OmegaConf's dialect), with the line of every key, and with limits.

`1e-4` is a number, `none` a string, `yes`/`no`/`on`/`off` booleans, dates stay text, duplicate keys are an error.
No tag constructs anything, and size, depth and node count are bounded.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from engine.errors import ConfigError, Problem
from engine.text import Phrase, verbatim

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_NODES = 100_000

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A mapping as read: its values, the file it came from, and the line (from 1) of each path of keys."""

    file: str
    values: dict[str, Any]
    lines: dict[Path_, int] = field(default_factory=dict)
    overridden: frozenset[str] = frozenset()  # keys whose value comes from --set, not from the file

    def line(self, *path: str | int) -> int | None:
        """Line of the key at `path`, or of the nearest parent that has one."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get(())

    def inner(self, name: str) -> Document:
        """The mapping under `name` as a document of its own, same file and lines."""
        lines = {path[1:]: line for path, line in self.lines.items() if path[:1] == (name,)}
        return Document(self.file, dict(self.values[name]), lines)

    def problem(self, code: str, *path: str | int, **params: Any) -> Problem:
        """A problem at the key `path`."""
        if path and path[0] in self.overridden:
            return Problem(code, params, ".".join(map(str, path)), "--set")
        return Problem(code, params, ".".join(map(str, path)) or None, self.file or None, self.line(*path))


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2 where 1.1 surprises: floats without a dot, no sexagesimals, no dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.endswith((":bool", ":null"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that also quotes what only this dialect would take for a number, such as the text 1e-4."""


for _first, _resolvers in _Loader.yaml_implicit_resolvers.items():
    for _tag, _regexp in _resolvers:
        _Dumper.add_implicit_resolver(_tag, _regexp, [_first])


def dump(values: dict[str, Any]) -> str:
    """YAML that `parse_document` reads back to the same values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def read_document(path: Path) -> Document:
    """The mapping in a YAML or JSON file. Raises ConfigError with file, line and column."""
    file = str(path)
    if not path.exists():
        raise ConfigError(Problem("file_missing", {"path": file, "near": _neighbours(path) or Phrase("none")}))
    if path.is_dir():
        raise ConfigError(Problem("file_is_folder", {"path": file, "near": _configs_in(path) or Phrase("none")}))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(Problem("file_too_large", {"size": path.stat().st_size, "limit": MAX_BYTES}, file=file))
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(Problem("not_utf8", {"offset": error.start}, file=file, line=line)) from None
    except OSError as error:
        raise ConfigError(Problem("file_unreadable", {"path": file, "reason": error.strerror or str(error)})) from None
    if path.suffix != ".json":
        return parse_document(text, file)
    # YAML takes JSON but for tabs between its parts, which JSON allows nowhere else, and for pairs of \u escapes.
    document = parse_document(text.replace("\t", " "), file)
    try:
        return replace(document, values=json.loads(text))
    except ValueError:
        return document


def parse_document(text: str, file: str = "") -> Document:
    """The mapping that `text` holds; `file` is only named in problems."""
    root = _compose(text, file)
    lines: dict[Path_, int] = {}
    values = None if root is None else _Builder(file, lines).build(root, ())
    if values is None:
        raise ConfigError(Problem("config_empty", file=file or None, line=1))
    if not isinstance(values, dict):
        raise ConfigError(Problem("config_not_mapping", {"found": type_name(values)}, file=file or None, line=1))
    return Document(file, values, lines)


def parse_value(text: str) -> Any:
    """One value as the right side of `key: value` would read it, for `--set key=value`."""
    root = _compose(text, "--set")
    return None if root is None else _Builder("--set", {}).build(root, ())


def type_name(value: Any) -> Phrase:
    """The kind of value in a person's words."""
    return _TYPE_NAMES.get(type(value)) or verbatim(type(value).__name__)


_TYPE_NAMES = {
    type(None): Phrase("nothing"),
    bool: Phrase("true/false"),
    int: Phrase("a whole number"),
    float: Phrase("a number"),
    str: Phrase("text"),
    list: Phrase("a list"),
    dict: Phrase("a mapping"),
}


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        params = {"reason": Phrase("character {character} is not allowed", {"character": f"{error.character:#x}"})}
        raise ConfigError(Problem("yaml_syntax", params, None, file or None, line)) from None
    try:
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else ()
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(Problem("yaml_syntax", {"reason": reason}, None, file or None, *place)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(Problem("yaml_syntax", {"reason": " ".join(str(error).split())}, file=file or None)) from None
    except RecursionError:
        problem = Problem("yaml_too_deep", {"limit": MAX_DEPTH}, file=file or None, line=loader.line + 1)
        raise ConfigError(problem) from None
    finally:
        loader.dispose()
    return node


# What a value may be; any other tag, on whatever kind of node, is refused.
_TAGS: dict[type[yaml.Node], set[str]] = {
    yaml.MappingNode: {"map"},
    yaml.SequenceNode: {"seq"},
    yaml.ScalarNode: {"str", "int", "float", "bool", "null"},
}


class _Builder:
    """Nodes to plain values, noting lines. Aliases cost what they expand to, so a bomb meets the node limit."""

    def __init__(self, file: str, lines: dict[Path_, int]):
        self.file, self.lines, self.nodes = file or None, lines, 0
        self.construct = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, path: Path_) -> Any:
        self.nodes += 1
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if len(path) > MAX_DEPTH or self.nodes > MAX_NODES:
            code, limit = ("yaml_too_deep", MAX_DEPTH) if len(path) > MAX_DEPTH else ("yaml_too_many", MAX_NODES)
            raise ConfigError(Problem(code, {"limit": limit}, file=self.file, line=line))
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS[type(node)]:
            params = {"reason": Phrase("the tag {tag} has no place here", {"tag": node.tag})}
            raise ConfigError(Problem("yaml_syntax", params, file=self.file, line=line, column=column))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        try:
            if node.tag.endswith(":int") and node.value.lstrip("+-").startswith("0o"):
                return int(node.value.replace("_", ""), 8)
            return self.construct.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError) as error:
            reason = getattr(error, "problem", None) or str(error)
            raise ConfigError(
                Problem("yaml_syntax", {"reason": reason}, file=self.file, line=line, column=column)
            ) from None

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                reason = Phrase("a key must be text")
                raise ConfigError(Problem("yaml_syntax", {"reason": reason}, file=self.file, line=line))
            name = str(name_node.value)
            here = (*path, name)
            if name in values:
                first = self.lines.get(here)
                raise ConfigError(Problem("duplicate_key", {"first": first}, name, self.file, line))
            self.lines[here] = line
            values[name] = self.build(value_node, here)
        return values


def _neighbours(path: Path) -> list[str]:
    """Configs near a path that does not exist, for the error."""
    folder = path.parent if path.parent.is_dir() else Path.cwd()
    return _configs_in(folder)


def _configs_in(folder: Path) -> list[str]:
    found = [file for pattern in ("*.yaml", "*.yml", "configs/*.yaml") for file in sorted(folder.glob(pattern))]
    return [str(file) for file in found[:6]]
