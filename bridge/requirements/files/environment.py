"""environment.yml: channels, MatchSpecs, and pip's lines in `pip:` (conda's documentation; CEP 24).

YAML is read by PyYAML's safe loader, after its events were counted: what aliases would make of a file counts as if it
were written out, so that a small file is never a large value.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, conda_requirement
from bridge.requirements.files.pip_format import PipLines
from bridge.requirements.files.values import FileRequirements, read_text, unique, wrong

__all__ = ["read_environment"]

MAX_YAML = 512 << 10  # bytes; an environment of a thousand packages has 50 kB
MAX_NODES = 20_000
MAX_DEPTH = 16

_KNOWN = frozenset({"name", "channels", "dependencies", "prefix"})
_HINT = "see conda's documentation: name, channels, and dependencies, which is a list of MatchSpecs and one `pip:` list"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a key that comes twice instead of taking the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} comes twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_environment(path: Path, environ: Mapping[str, str]) -> FileRequirements:
    """Read an environment.yml. Raises `UsageError` (`requirement-file`)."""
    document = _load(path)
    if not isinstance(document, dict):
        raise wrong(path, None, "a mapping was expected at the top", hint=_HINT)
    name = document.get("name")
    if not isinstance(name, (str, type(None))):
        raise wrong(path, "name", "a text was expected")
    dependencies = document.get("dependencies")
    if not isinstance(dependencies, (list, type(None))):
        raise wrong(path, "dependencies", "a list was expected", hint=_HINT)
    pip = PipLines(environ)
    asked: list[Requirement] = []
    for place, entry in enumerate(dependencies or ()):
        where = f"dependencies[{place}]"
        if isinstance(entry, str):
            asked.append(_conda(entry, path, where))
        else:
            asked += _pip(entry, path, where, pip)
    unknown = [str(key) for key in document if key not in _KNOWN]
    warnings = [f"{path}: {key} does nothing here" for key in unknown]
    found = pip.result()
    return replace(
        found,
        name=name,
        channels=_channels(document.get("channels"), path),
        requirements=unique(asked),
        warnings=(*found.warnings, *warnings),
    )


def _conda(text: str, path: Path, where: str) -> Requirement:
    try:
        return conda_requirement(text.strip())
    except UsageError as error:
        hint = "what is not a MatchSpec belongs into the `pip:` list"
        raise wrong(path, where, error.message, context=error.context, hint=hint) from error


def _pip(entry: object, path: Path, where: str, pip: PipLines) -> list[Requirement]:
    """The requirements of one `pip:` list, in the order of its lines."""
    if not isinstance(entry, dict) or list(entry) != ["pip"]:
        raise wrong(path, where, f"a MatchSpec (a text) or a `pip:` list was expected, not {_kind(entry)}", hint=_HINT)
    lines = entry["pip"]
    if not isinstance(lines, (list, type(None))):
        raise wrong(path, f"{where}.pip", "a list was expected", hint=_HINT)
    known = len(pip.requirements)
    for number, line in enumerate(lines or ()):
        place = f"{where}.pip[{number}]"
        if not isinstance(line, str):
            raise wrong(path, place, f"a line of pip's was expected, not {_kind(line)}")
        pip.read_line(line, path, place)
    return pip.requirements[known:]


def _channels(value: object, path: Path) -> tuple[str, ...]:
    """The channels, `nodefaults` left out: it says that nothing is to be added to them, and nothing is."""
    if not isinstance(value, (list, type(None))):
        raise wrong(path, "channels", "a list was expected", hint=_HINT)
    for place, channel in enumerate(value or ()):
        if not isinstance(channel, str):
            raise wrong(
                path, f"channels[{place}]", f"the name or the URL of a channel was expected, not {_kind(channel)}"
            )
    return tuple(dict.fromkeys(channel for channel in value or () if channel != "nodefaults"))


def _kind(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing", bool: "a truth value", str: "a text"}
    return kinds.get(type(value), f"{value!r:.40}")


def _load(path: Path) -> object:
    text = read_text(path, MAX_YAML)
    try:
        _check_events(text, path)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        raise wrong(path, line, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise wrong(path, None, f"not YAML that can be read: {' '.join(str(error).split())[:200]}") from error


def _check_events(text: str, path: Path) -> None:
    """Count what a file says, aliases written out. Raises `UsageError` for too much, too deep, or an endless value."""
    count = _Count()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        problem = count.add(event)
        if problem is not None:
            line = event.start_mark.line + 1 if event.start_mark is not None else None
            raise wrong(path, line, problem)


class _Count:
    """How many values a YAML text holds so far, each alias as many as what it names."""

    def __init__(self) -> None:
        self._total = 0
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []  # (anchor, values before it)

    def add(self, event: yaml.Event) -> str | None:
        """Count one event; returns why the text is refused."""
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
