"""environment.yml (CEP 24): channels, MatchSpecs, pip's lines in `pip:`, variables, platforms and selectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, conda_requirement, parse_pypi
from bridge.requirements.files.constructs import Section, honoured, ignored
from bridge.requirements.files.fields import Field
from bridge.requirements.files.pip_format import PipLines
from bridge.requirements.files.selectors import comment_selectors, selector_holds
from bridge.requirements.files.values import Chosen, FileRequirements, expanded, unique, wrong
from bridge.requirements.files.yaml_text import load_yaml
from converters.deferred import replace
from converters.target import SUBDIRS

__all__ = ["ENTRIES", "TOP", "read_environment"]

_HINT = "see CEP 24: name, channels, and dependencies, which is a list of MatchSpecs and one `pip:` list"

TOP = Section(
    name="environment.yml",
    keys={
        "name": honoured("the environment's name, where neither `-p` nor `-n` is given"),
        "channels": honoured("the channels, unless `-c` names others; `$NAME` is replaced; `nodefaults` adds none"),
        "dependencies": honoured("MatchSpecs, `pip:` lists and `sel(…)` entries"),
        "variables": honoured("environment variables of the activated environment"),
        "platforms": honoured("a warning where the target is not one of them; a platform that is none is refused"),
        "pip-repositories": honoured("further package indexes, as conda-lock reads them"),
        "prefix": ignored("`-p` says where the environment is"),
        "category": ignored("it names a group of dependencies for conda-lock; all of them are asked for"),
    },
)
ENTRIES = Section(
    name="environment.yml dependencies",
    keys={
        "pip": honoured("lines of a requirements.txt; all of its options"),
        "sel(…)": honoured("a MatchSpec for `unix`, `linux`, `osx` or `win` alone"),
        "# [SELECTOR]": honoured("the line is left out where the selector does not hold, with a message"),
    },
    unknown="refused",
)

_DICTIONARY_SELECTOR = re.compile(r"sel\(\s*(unix|linux|osx|win)\s*\)\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def read_environment(path: Path, text: str, chosen: Chosen) -> FileRequirements:
    """Read an environment.yml for one platform. Raises `UsageError` (`requirement-file`)."""
    warnings: list[str] = []
    platform = chosen.platform
    pip = PipLines(chosen.environ, chosen.ignores_missing_paths)
    text = _selected(path, text, platform, warnings)
    document = TOP.check(Field(_mapping(load_yaml(path, text), path), path), warnings).table()
    name = document.get("name")
    if not isinstance(name, (str, type(None))):
        raise wrong(path, "name", "a text was expected")
    reading = _Reading(path=path, platform=platform, pip=pip, warnings=warnings)
    reading.entries(document.get("dependencies"))
    listed = reading.pip.result()
    _check_platforms(document.get("platforms"), path, platform, warnings)
    return replace(
        listed,
        name=name,
        channels=_channels(document.get("channels"), path, chosen),
        requirements=unique(reading.asked),
        extra_index_urls=(
            *listed.extra_index_urls,
            *(
                expanded(url, chosen, path, "pip-repositories")
                for url in _texts(document.get("pip-repositories"), path, "pip-repositories")
            ),
        ),
        variables=_variables(document.get("variables"), path),
        warnings=(*listed.warnings, *warnings),
    )


def _mapping(document: object, path: Path) -> dict[str, object]:
    if not isinstance(document, dict):
        raise wrong(path, None, "a mapping was expected at the top", hint=_HINT)
    return {str(key): value for key, value in document.items()}


def _selected(path: Path, text: str, platform: str, warnings: list[str]) -> str:
    """Return the text without the lines whose comment selector does not hold; each is told."""
    lines = text.splitlines()
    for number, entry, expression in comment_selectors(text):
        holds = selector_holds(expression, platform)
        if holds is None:
            warnings.append(
                f"{path}, line {number}: [{expression}] is not a selector of CEP 24; {entry} is required everywhere"
            )
        elif not holds:
            warnings.append(
                f"{path}, line {number}: {entry} is left out: the selector [{expression}] excludes {platform}"
            )
            lines[number - 1] = ""
    return "\n".join(lines) + "\n"


@dataclass(slots=True, kw_only=True)
class _Reading:
    """The dependencies read so far, in their order."""

    path: Path
    platform: str
    pip: PipLines
    warnings: list[str]
    asked: list[Requirement] = field(default_factory=list)

    def entries(self, dependencies: object) -> None:
        if not isinstance(dependencies, (list, type(None))):
            raise wrong(self.path, "dependencies", "a list was expected", hint=_HINT)
        for place, entry in enumerate(dependencies or ()):
            where = f"dependencies[{place}]"
            if isinstance(entry, str):
                self._conda(entry, where)
            elif isinstance(entry, dict) and len(entry) == 1 and _DICTIONARY_SELECTOR.match(str(next(iter(entry)))):
                self._conditional(entry, where)
            else:
                self._pip_list(entry, where)

    def _conda(self, text: str, where: str) -> None:
        try:
            body = text.strip()
            self.asked.append(parse_pypi(body) if body.startswith("pypi:") else conda_requirement(body))
        except UsageError as error:
            hint = "what is not a MatchSpec belongs into the `pip:` list"
            raise wrong(self.path, where, error.message, context=error.context, hint=hint) from error

    def _conditional(self, entry: Mapping[str, object], where: str) -> None:
        key, value = next(iter(entry.items()))
        selector = _DICTIONARY_SELECTOR.match(str(key))
        if selector is None or not isinstance(value, str):
            raise wrong(self.path, where, f"a MatchSpec was expected after {key}")
        if selector_holds(selector[1], self.platform):
            self._conda(value, where)
        else:
            self.warnings.append(f"{self.path}: {value} is left out: {key} excludes {self.platform}")

    def _pip_list(self, entry: object, where: str) -> None:
        if not isinstance(entry, dict) or list(entry) != ["pip"]:
            keys = f" with the key {next(iter(entry))!r}" if isinstance(entry, dict) and entry else ""
            problem = f"a MatchSpec (a text) or a `pip:` list was expected, not {_kind(entry)}{keys}"
            raise wrong(self.path, where, problem, hint=_HINT)
        known = len(self.pip.requirements)
        for number, line in enumerate(self._pip_lines(entry["pip"], where)):
            place = f"{where}.pip[{number}]"
            if not isinstance(line, str):
                raise wrong(self.path, place, f"a line of a requirements.txt was expected, not {_kind(line)}")
            self.pip.read_line(line, self.path, place)
        self.asked += self.pip.requirements[known:]

    def _pip_lines(self, lines: object, where: str) -> list[object]:
        if not isinstance(lines, (list, type(None))):
            raise wrong(self.path, f"{where}.pip", "a list was expected", hint=_HINT)
        return lines or []


def _channels(value: object, path: Path, chosen: Chosen) -> tuple[str, ...]:
    """Return the channels without `nodefaults`, which says that none are to be added: none ever are."""
    named = (channel for channel in _texts(value, path, "channels") if channel != "nodefaults")
    return tuple(dict.fromkeys(expanded(channel, chosen, path, "channels") for channel in named))


def _texts(value: object, path: Path, key: str) -> tuple[str, ...]:
    if not isinstance(value, (list, type(None))):
        raise wrong(path, key, "a list was expected", hint=_HINT)
    for place, text in enumerate(value or ()):
        if not isinstance(text, str):
            raise wrong(path, f"{key}[{place}]", f"a name or a URL was expected, not {_kind(text)}")
    return tuple(value or ())


def _check_platforms(value: object, path: Path, platform: str, warnings: list[str]) -> None:
    platforms = _texts(value, path, "platforms")
    for place, name in enumerate(platforms):
        if name not in SUBDIRS:
            known = ", ".join(sorted(SUBDIRS))
            raise wrong(path, f"platforms[{place}]", f"{name} is not a platform", context=(f"known: {known}",))
    if platforms and platform not in platforms:
        warnings.append(f"{path}: platforms has {', '.join(platforms)}, and this is solved for {platform}")


def _variables(value: object, path: Path) -> dict[str, str]:
    """Return the environment variables; a value that is not a text becomes one (CEP 24)."""
    if not isinstance(value, (dict, type(None))):
        raise wrong(path, "variables", "a mapping was expected: NAME: VALUE")
    variables = {}
    for name, content in (value or {}).items():
        if not _VARIABLE.match(str(name)):
            raise wrong(path, f"variables.{name}", "this is not the name of an environment variable")
        if isinstance(content, (dict, list, type(None))):
            raise wrong(path, f"variables.{name}", f"a text was expected, not {_kind(content)}")
        variables[str(name)] = str(content)
    return variables


def _kind(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing", bool: "a truth value", str: "a text"}
    return kinds.get(type(value), f"{value!r:.40}")
