"""YAML reading that remembers where every key stood, so that an error can name its file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from archsim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: a file and line, or a command-line override."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Marked:
    """A YAML value with its origin. ``value``: a scalar, a tuple of plain values, or a dict of Marked.

    Read with ``items=True``, the members of sequences are Marked too.
    """

    value: Any
    origin: Origin


class _Loader(yaml.SafeLoader):
    """Plain YAML scalars as in YAML 1.2: ``on`` and ``off`` stay words, 1e9 is a number, 1:30 isn't one."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def parse_scalar(text: str) -> Any:
    """Value of a YAML flow expression on a command line: ``48``, ``true``, ``[1, 2]``, ``none``."""
    try:
        return _plain(yaml.load(text, Loader=_Loader))
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"can't read the value {text!r}: {_first_line(error)}") from None


def read(path: Path, *, items: bool = False) -> Marked:
    """Read a YAML file whose root is a mapping (an empty file is an empty one). Raises ConfigError.

    ``items``: members of sequences get their own origin too.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {_first_line(error)}") from None
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Marked({}, Origin(str(path), 1))
        return _Marker(loader, path, items).mark(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {_first_line(error)}") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Marker:
    """Turns nodes into Marked values. Aliases may repeat a node, but not make a small file unfold without bound."""

    MAX_KEYS = 20_000

    def __init__(self, loader: _Loader, path: Path, items: bool = False) -> None:
        self.loader = loader
        self.path = path
        self.items = items
        self.keys = 0

    def mark(self, node: yaml.Node) -> Marked:
        line = node.start_mark.line + 1
        if self.items and isinstance(node, yaml.SequenceNode):
            self._count(len(node.value), line)
            return Marked(tuple(self.mark(item) for item in node.value), Origin(str(self.path), line))
        if not isinstance(node, yaml.MappingNode):
            return Marked(_plain(self.loader.construct_object(node, deep=True)), Origin(str(self.path), line))
        if node.tag != "tag:yaml.org,2002:map":
            raise ConfigError(f"{self.path}:{line}: the tag {node.tag!r} has no meaning here")
        result: dict[str, Marked] = {}
        for key_node, value_node in node.value:
            self._add(result, key_node, value_node)
        return Marked(result, Origin(str(self.path), line))

    def _count(self, more: int, line: int) -> None:
        self.keys += more
        if self.keys > self.MAX_KEYS:
            raise ConfigError(f"{self.path}:{line}: more than {self.MAX_KEYS} keys; this is not a machine")

    def _add(self, result: dict[str, Marked], key_node: yaml.Node, value_node: yaml.Node) -> None:
        key = str(self.loader.construct_object(key_node, deep=True))
        line = key_node.start_mark.line + 1
        self._count(1, line)
        if key in result:
            first = result[key].origin.line
            raise ConfigError(f"{self.path}:{line}: {key!r} is set twice (first at line {first})")
        result[key] = Marked(self.mark(value_node).value, Origin(str(self.path), line))


def _plain(value: Any) -> Any:
    """Lists as tuples, all the way down (specs are frozen)."""
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def mark_plain(value: Any, origin: Origin) -> Marked:
    """Wrap a plain value, giving every nested key the same origin."""
    if isinstance(value, dict):
        return Marked({key: mark_plain(item, origin) for key, item in value.items()}, origin)
    return Marked(value, origin)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
