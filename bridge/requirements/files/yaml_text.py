"""YAML of requirement files: PyYAML's safe loader, with limits on what aliases expand to.

The events are counted before anything is built, each alias as many times as the values it stands for, so that a small
file is never a large value.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import yaml

from bridge.requirements.files.values import wrong

__all__ = ["MAX_LOCK_NODES", "load_yaml"]

MAX_YAML = 512 << 10  # characters; an environment of a thousand packages has 50,000
MAX_NODES = 20_000
MAX_LOCK_NODES = 1_000_000  # a lock of 1,000 packages for five platforms has 150,000
MAX_DEPTH = 16


class _Unique(yaml.constructor.SafeConstructor):
    """Refuses a duplicate key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} comes twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        mapping: dict[Hashable, object] = super().construct_mapping(node, deep)
        return mapping


class _Loader(_Unique, yaml.SafeLoader):
    """PyYAML's own parser, whose errors say more."""


class _FastLoader(_Unique, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml's parser, where PyYAML has it: ten times as fast."""


def load_yaml(path: Path, text: str, *, max_nodes: int = MAX_NODES) -> object:
    """Return the value of the text of a YAML file. Raises `UsageError` (`requirement-file`).

    :param max_nodes: `MAX_LOCK_NODES` for a lock.
    """
    if len(text) > MAX_YAML and max_nodes == MAX_NODES:
        raise wrong(path, None, f"the file is larger than {MAX_YAML} characters, more than any environment has")
    loader = _Loader if max_nodes == MAX_NODES else _FastLoader
    try:
        _check_events(text, path, loader, max_nodes)
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        raise wrong(path, line, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise wrong(path, None, f"not YAML that can be read: {' '.join(str(error).split())[:200]}") from error


def _check_events(text: str, path: Path, loader: type[_Loader | _FastLoader], max_nodes: int) -> None:
    """Raise `UsageError` for a text that is too large or too deep once its aliases are expanded, or that is endless."""
    count = _Count(max_nodes)
    for event in yaml.parse(text, Loader=loader):
        problem = count.add(event)
        if problem is not None:
            line = event.start_mark.line + 1 if event.start_mark is not None else None
            raise wrong(path, line, problem)


class _Count:
    """The number of values that a YAML text has so far; an alias counts as all that it stands for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []  # (anchor, values before it)

    def add(self, event: yaml.Event) -> str | None:
        """Count one event; return why the text is refused, or `None`."""
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == name for name, _ in self._open):
                return f"the alias *{anchor} refers to a value that contains it"
            self._total += self._sizes.get(str(anchor), 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.NodeEvent):
            self._open.append((anchor, self._total))
            self._total += 1
            if isinstance(event, yaml.ScalarEvent):
                self._close()
        if len(self._open) > MAX_DEPTH:
            return f"nested more than {MAX_DEPTH} deep"
        return f"more than {self._limit} values, which no file of this kind has" if self._total > self._limit else None

    def _close(self) -> None:
        anchor, before = self._open.pop()
        if anchor is not None:
            self._sizes[anchor] = self._total - before
