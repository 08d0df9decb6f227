"""Which modules an environment has, and what it means that one cannot be imported. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from signal import Signals

from bridge.audit.dependencies import PrefixRecords, applicable_requirements
from bridge.audit.finding import IMPORT_FAILS, Finding, Level
from bridge.prefix.claims import Owner
from bridge.secrets import hidden
from converters.deferred import dataclass, regex
from converters.projects import canonicalize_name

__all__ = ["Module", "Outcome", "failures", "modules_of"]

_SUFFIX = regex(r"\.(?:py|abi3\.so|so|pyd|cpython-(\d+)[a-z]*(?:-[\w.-]+)?\.so|cp(\d+)-\w+\.pyd)\Z")
# Directories that wheels bring beside their packages, by mistake or for their own tests.
_ASIDE = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmark", "benchmarks", "setup"}
)
# What only some machines have: drivers, a screen.
_OF_MACHINE = regex(r"lib(?:cuda|nvidia|nvcuvid|amdhip|ze_loader)\w*\.so|\bDISPLAY\b|\bdisplay\b")
_OF_OTHER_SYSTEMS = frozenset({"_winapi", "winreg", "_winreg", "msvcrt", "nt", "winsound", "_scproxy"})
_UNPRINTED = regex(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A top-level module, or one of a namespace package: its file, and who owns that."""

    name: str
    path: str
    owner: Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an import.

    :param error: the name of the exception; empty: there was none.
    :param missing: the module that a `ModuleNotFoundError` names.
    :param signal: what ended python; 0: nothing did.
    """

    error: str = ""
    text: str = ""
    missing: str = ""
    signal: int = 0

    @property
    def is_met(self) -> bool:
        return not self.error and not self.signal

    @classmethod
    def of(cls, answer: object) -> Outcome:
        """The outcome in an answer, which untrusted code may have written. Raises `ValueError`."""
        if not isinstance(answer, dict):
            raise ValueError("an answer is not an object")
        texts = {key: str(answer.get(key) or "") for key in ("type", "text", "missing")}
        signal = answer.get("signal", 0)
        return cls(
            error=texts["type"][:80],
            text=hidden(_UNPRINTED.sub(" ", texts["text"]))[:300],
            missing=texts["missing"][:200],
            signal=signal if isinstance(signal, int) else 0,
        )


def modules_of(records: PrefixRecords) -> dict[str, Module]:
    """Name → the public modules that packages own directly in site-packages, and those of namespace packages."""
    site, python = records.state.site_packages, records.state.python
    if site is None or python is None:
        return {}
    digits = f"{python.minor[0]}{python.minor[1]}"
    modules: dict[str, Module] = {}
    claimed = records.claims.by_path
    parts_of = [
        (path[len(site) + 1 :].split("/"), path, owner)
        for path in claimed
        if path.startswith(f"{site}/") and (owner := claimed.owner(path)) is not None
    ]
    for parts, path, owner in parts_of:
        name = _module(parts, digits)
        if name is not None and len(parts) <= 2:
            modules.setdefault(name, Module(name=name, path=path, owner=owner))
    for parts, path, owner in parts_of:
        name = _module(parts, digits)
        if name is not None and len(parts) == 3 and parts[0] not in modules and _is_public(parts[1]):
            modules.setdefault(name, Module(name=name, path=path, owner=owner))
    return modules


def _module(parts: list[str], digits: str) -> str | None:
    """The module of a path of a package (`a/__init__.py`) or of a file (`a.py`); `None`: it is none."""
    stem = parts[-1].partition(".")[0]
    match = _SUFFIX.match(parts[-1][len(stem) :])
    if match is None or (match[1] or match[2] or digits) != digits:
        return None
    names = parts[:-1] if stem == "__init__" else [stem] if len(parts) == 1 else []
    return ".".join(names) if names and _is_public(names[0]) else None


def _is_public(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_") and name not in _ASIDE


def failures(
    records: PrefixRecords, modules: Mapping[str, Module], outcomes: Mapping[str, Outcome]
) -> Iterator[Finding]:
    """A finding for each module that python does not import.

    An error if it is the package's own module, or the only one, and the reason is neither a requirement that is
    optional, nor the machine; else a warning, or info.
    """
    owned: dict[str, list[str]] = {}
    for module in modules.values():
        owned.setdefault(module.owner.label, []).append(module.name)
    required = _required(records)
    for name, module in sorted(modules.items()):
        outcome = outcomes.get(name, Outcome(error="RuntimeError", text="the python process was ended"))
        if outcome.is_met:
            continue
        level, reason = _reason(outcome, modules, required.get(module.owner.label, frozenset()))
        is_main = len(owned[module.owner.label]) == 1 or canonicalize_name(name) in _names(records, module.owner)
        level = "warning" if level == "error" and not is_main else level
        yield Finding.of(module.owner, IMPORT_FAILS, level, module.path, f"python cannot import {name}: {reason}")


def _names(records: PrefixRecords, owner: Owner) -> set[str]:
    answering = records.claims.answering
    projects = {canonicalize_name(each.name) for each in records.importable if answering.get(each.path) is owner}
    return {canonicalize_name(owner.package), *projects}


def _required(records: PrefixRecords) -> dict[str, frozenset[str]]:
    """Owner → the projects that its distributions require without an extra."""
    required: dict[str, set[str]] = {}
    for each in applicable_requirements(records):
        owner = records.claims.answering.get(each.distribution.path)
        if each.requirement is not None and not each.extra and owner is not None:
            required.setdefault(owner.label, set()).add(each.requirement.name)
    return {label: frozenset(names) for label, names in required.items()}


def _reason(outcome: Outcome, modules: Mapping[str, Module], required: frozenset[str]) -> tuple[Level, str]:
    if outcome.signal:
        return "error", f"{_signal(outcome.signal)} ended the python process"
    said = f"{outcome.error}: {outcome.text}" if outcome.text else outcome.error
    top = outcome.missing.partition(".")[0]
    if top in _OF_OTHER_SYSTEMS or _OF_MACHINE.search(outcome.text):
        return "info", f"{said}; only some machines have that"
    if outcome.error == "SystemExit":
        return "info", "it ends python, as programs do"
    if top and top not in modules and canonicalize_name(top) not in required:
        return "info", f"{said}; its requirements do not name it"
    return "error", said


def _signal(number: int) -> str:
    if number == Signals.SIGALRM:
        return "it did not end within a minute"
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"
