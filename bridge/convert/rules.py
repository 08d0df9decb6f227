"""Rules for dependencies, from `[tool.bridge.convert]` of a project and from options.

The options are those of whl2conda, and the keys of the table are named like the options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bridge.config.project import ProjectTable
from bridge.convert.job import Conversion
from bridge.errors import UsageError
from bridge.requirements.matchspec import parse_conda, positional_text
from bridge.requirements.names import name_of
from converters.projects import canonicalize_name
from converters.rules import DependencyChanges, DependencyRules

__all__ = ["RuleOptions", "read_rules", "unmatched"]

_RENAME, _ADD, _DROP, _PIN, _PACKAGE = (
    "dependency-rename", "add-dependency", "drop-dependency", "pin-dependency", "package",
)  # fmt: skip
_CONDA_NAME = re.compile(r"(?:[a-z0-9_]|\\[1-9])(?:[a-z0-9_.-]|\\[1-9])*\Z")  # CEP 26, and references to groups
_GROUP = re.compile(r"\$([1-9])")  # whl2conda's form of `\1`


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOptions:
    """The rules of a command line. `rename`: pairs of a project, or a regular expression, and a conda name."""

    rename: Sequence[tuple[str, str]] = ()
    add: Sequence[str] = ()
    drop: Sequence[str] = ()
    pin: Sequence[str] = ()


def read_rules(options: RuleOptions, table: ProjectTable | None) -> DependencyRules:
    """Join the rules of a command line and of a project; of two renames of a name, that of the command line counts.

    Raises `UsageError`: `dependency-rule` for a rule that cannot be read, `project-file` for an unknown key.
    """
    values: Mapping[str, object] = table.values if table is not None else {}
    where = f"{table.file}: tool.bridge.convert" if table is not None else ""
    _check_keys(values, (_RENAME, _ADD, _DROP, _PIN, _PACKAGE), where)
    given = _changes(options.add, options.drop, options.pin, "--")
    packages = values.get(_PACKAGE, {})
    if not isinstance(packages, Mapping):
        raise _wrong(f"{where}.{_PACKAGE}", "a table for each project was expected")
    return DependencyRules(
        renames=(
            *(_rename(each, "--dependency-rename") for each in options.rename),
            *(_rename(each, f"{where}.{_RENAME}") for each in _pairs(values.get(_RENAME, ()), f"{where}.{_RENAME}")),
        ),
        every=given.joined(_changes_of(values, where)),
        of_projects=dict(_of_project(name, each, f"{where}.{_PACKAGE}") for name, each in packages.items()),
    )


def _of_project(name: str, value: object, where: str) -> tuple[str, DependencyChanges]:
    project = _project(name, where)
    where = f"{where}.{name}"
    if not isinstance(value, Mapping):
        raise _wrong(where, "a table was expected")
    _check_keys(value, (_ADD, _DROP, _PIN), where)
    return project, _changes_of(value, where)


def _check_keys(values: Mapping[str, object], known: Sequence[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise UsageError("project-file", f"{where}.{key}: there is no such key; known are {', '.join(known)}")


def _changes_of(values: Mapping[str, object], where: str) -> DependencyChanges:
    add, drop, pin = (_texts(values.get(key, ()), f"{where}.{key}") for key in (_ADD, _DROP, _PIN))
    return _changes(add, drop, pin, f"{where}.")


def _changes(add: Sequence[str], drop: Sequence[str], pin: Sequence[str], where: str) -> DependencyChanges:
    return DependencyChanges(
        add=tuple(_spec(each, f"{where}{_ADD}") for each in add),
        drop=tuple(_project(each, f"{where}{_DROP}") for each in drop),
        pin=tuple(_spec(each, f"{where}{_PIN}", has_version=True) for each in pin),
    )


def _texts(value: object, where: str) -> Sequence[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(each, str) for each in texts):
        raise _wrong(where, "a list of texts was expected")
    return texts


def _pairs(value: object, where: str) -> Sequence[tuple[str, str]]:
    """Return the pairs of a table, or of a list of pairs as whl2conda has it."""
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(each, str) for each in pair)
        for pair in pairs
    ):
        raise _wrong(where, 'a table {project = "conda name"}, or a list of such pairs, was expected')
    return [(first, second) for first, second in pairs]


def _rename(pair: tuple[str, str], where: str) -> tuple[str, str]:
    pattern, name = pair
    with suppress(ValueError):  # a plain name in any spelling is the normalised one
        pattern = canonicalize_name(pattern, validate=True)
    name = _GROUP.sub(r"\\\1", name)
    try:
        groups = re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise _wrong(where, f"`{pattern}` is neither a project nor a regular expression: {error}") from error
    if not pattern or not _CONDA_NAME.match(name):
        raise _wrong(where, f"`{pair[1]}` is not the name of a conda package")
    if beyond := [each for each in re.findall(r"\\([1-9])", name) if int(each) > groups]:
        raise _wrong(where, f"`{pair[1]}` refers to group {beyond[0]}, and `{pattern}` has {groups}")
    return pattern, name


def _project(text: str, where: str) -> str:
    try:
        return canonicalize_name(text, validate=True)
    except ValueError as error:
        raise _wrong(where, f"`{text}` is not the name of a project") from error


def _spec(text: str, where: str, *, has_version: bool = False) -> str:
    """Return a MatchSpec that can stand in `depends`."""
    try:
        spec = parse_conda(text)
    except UsageError as error:
        raise _wrong(where, error.message, error.context) from error
    if spec.channel or spec.subdir or spec.artifact or spec.extras or spec.condition or "[" in text:
        raise _wrong(where, f"`{text}` is more than a name, versions and a build, which is all that every solver reads")
    if has_version and spec.versions is None:
        raise _wrong(where, f"`{text}` names no version")
    return positional_text(text)


def _wrong(where: str, problem: str, context: Sequence[str] = ()) -> UsageError:
    hint = "rules are shown by: bridge convert --help"
    return UsageError("dependency-rule", f"{where}: {problem}", context=tuple(context), hint=hint)


def unmatched(rules: DependencyRules, conversion: Conversion) -> tuple[str, ...]:
    """Return a warning for each rule for all packages that changed nothing in a run, such as one with a misspelt name.

    Nothing is said if a wheel failed, since the rule may be for that one. What is added to every package always counts.
    """
    if conversion.failures:
        return ()
    dropped = {note.detail for done in conversion.done for note in done.remarks if note.kind == "dropped"}
    names = {"python", *conversion.names}
    texts = [
        *(f"--{_DROP} {each}: no wheel requires it" for each in rules.every.drop if each not in dropped),
        *(f"--{_PIN} `{each}`: no package depends on it" for each in rules.every.pin if name_of(each) not in names),
    ]
    for pattern, name in rules.renames:
        made = re.compile(".*".join(map(re.escape, re.split(r"\\[1-9]", name))))
        if not any(map(made.fullmatch, names)):
            texts.append(f"--{_RENAME} {pattern} {name}: no wheel is or requires such a project")
    return tuple(texts)
