"""YAML of requirement files: PyYAML's safe loader, with limits on what aliases expand to.

The events are counted before anything is built, each alias as many times as the values it stands for, so that a small
file is never a large value.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import yaml

from bridge.requirements.files.values import wrong

__all__ = ["load_yaml"]

MAX_YAML = 512 << 10  # characters; an environment of a thousand packages has 50,000
MAX_NODES = 20_000
MAX_DEPTH = 16


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a duplicate key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} comes twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path, text: str) -> object:
    """Return the value of the text of a YAML file. Raises `UsageError` (`requirement-file`)."""
    if len(text) > MAX_YAML:
        raise wrong(path, None, f"the file is larger than {MAX_YAML} characters, which no environment is")
    try:
        _check_events(text, path)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        raise wrong(path, line, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise wrong(path, None, f"not YAML that can be read: {' '.join(str(error).split())[:200]}") from error


def _check_events(text: str, path: Path) -> None:
    """Raise `UsageError` for a text that is too large or too deep once its aliases are expanded, or that is endless."""
    count = _Count()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        problem = count.add(event)
        if problem is not None:
            line = event.start_mark.line + 1 if event.start_mark is not None else None
            raise wrong(path, line, problem)


class _Count:
    """The number of values that a YAML text has so far; an alias counts as all that it stands for."""

    def __init__(self) -> None:
        self._total = 0
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []  # (anchor, values before it)

    def add(self, event: yaml.Event) -> str | None:
        """Count one event; return why the text is refused, or `None`."""
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == name for name, _ in self._open):
                return f"the alias *{anchor} lies in what it names"
            self._total += self._sizes.get(str(anchor), 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.NodeEvent):
            self._open.append((anchor, self._total))
            self._total += 1
            if isinstance(event, yaml.ScalarEvent):
                self._close()
        if len(self._open) > MAX_DEPTH:
            return f"nested more than {MAX_DEPTH} deep, which no environment is"
        return f"more than {MAX_NODES} values, which no environment has" if self._total > MAX_NODES else None

    def _close(self) -> None:
        anchor, before = self._open.pop()
        if anchor is not None:
            self._sizes[anchor] = self._total - before
