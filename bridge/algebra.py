"""Two algebras, never mixed: a MatchSpec is judged by conda's version order, a PEP 508 requirement by PEP 440.

Each judges either kind of candidate: what it needs of one is the version's text (and the build, where it has one). A
version that an algebra cannot parse satisfies only a requirement without a version clause. Parsing and judging are
memoised by text; nothing here touches the world (rattler's `MatchSpec`, `Version` and `VersionSpec` are pure).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from packaging.markers import Marker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Pep508
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion
from packaging.version import Version as Pep440Version
from rattler import MatchSpec, Version, VersionSpec

from bridge.errors import UsageError
from bridge.fetch.secrets import SECRETS, masked
from converters.record import Record

__all__ = [
    "CondaSpec",
    "Kind",
    "Requirement",
    "conda_requirement",
    "conda_version",
    "conditions_of",
    "marker_holds",
    "names_prerelease",
    "parse",
    "parse_conda",
    "parse_pypi",
    "pep440_version",
    "pins",
    "python_specifier",
    "specifier_accepts",
]

Kind = Literal["matchspec", "pep508", "either"]
MAX_TEXT = 4096  # characters of one requirement; real ones stay below 500


@cache
def conda_version(text: str) -> Version | None:
    """`text` in conda's order; `None` where rattler cannot read it."""
    try:
        return Version(text)
    except Exception:  # noqa: BLE001 - rattler raises several kinds, all of them "not a version"
        return None


@cache
def pep440_version(text: str) -> Pep440Version | None:
    """`text` in PEP 440's order; `None` where it is no PEP 440 version."""
    try:
        return Pep440Version(text)
    except InvalidVersion:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaSpec:
    """A MatchSpec, taken apart once. `versions` and `build_number` are rattler's; `build` is a glob or `^regex$`."""

    text: str
    name: str
    versions: VersionSpec | None = None
    build: Callable[[str], object] | None = None
    build_number: VersionSpec | None = None
    channel: str | None = None
    subdir: str | None = None
    extras: tuple[str, ...] = ()
    condition: str | None = None
    artifact: tuple[tuple[str, str], ...] = ()  # what its file must be: `sha256`, `md5`, `url`, `fn`, `license`, …

    @property
    def names_a_build(self) -> bool:
        """Whether only a conda record can meet it: a wheel has no build, channel or subdir."""
        return bool(self.build or self.build_number or self.channel or self.subdir or self.artifact)

    @property
    def url(self) -> str | None:
        """The URL of the one package that can meet it, where it names one."""
        return dict(self.artifact).get("url")

    def accepts_version(self, version: str) -> bool:
        """Judge a version, of a conda record or of a wheel, by conda's order."""
        if self.versions is None:
            return True
        found = conda_version(version)
        return found is not None and self.versions.matches(found)

    def accepts_build(self, build: str, build_number: int, origin: str = "", subdir: str = "") -> bool:
        """Judge the other clauses. `origin` is the channel's URL: a channel clause names its last part or the whole."""
        if self.build is not None and not self.build(build):
            return False
        if self.build_number is not None and not self.build_number.matches(Version(str(build_number))):
            return False
        if self.subdir is not None and subdir != self.subdir:
            return False
        return self.channel is None or self.channel in _channel_names(origin)

    def accepts_artifact(self, record: Record) -> bool:
        """Judge what is asked of the file itself. A record that does not say it does not meet it."""
        return all(_ARTIFACT[field](record, value) for field, value in self.artifact)


_ARTIFACT: dict[str, Callable[[Record, str], bool]] = {
    "sha256": lambda record, value: record.sha256 == value.lower(),
    "md5": lambda record, value: record.md5 == value.lower(),
    "url": lambda record, value: record.url == value,
    "fn": lambda record, value: record.filename == value,
    "license": lambda record, value: record.license == value,
    "track_features": lambda record, value: set(re.split(r"[\s,]+", value)) <= set(record.track_features),
}
_JUDGED = {"version", "build", "build_number", "channel", "subdir", "extras", "when", *_ARTIFACT}
_FIELD = re.compile(r"""(\w+)=(?:"((?:[^"\\]|\\.)*)"|\[[^\]]*\]|[^,\]]*)[,\]]""")
_NO_BUILD = re.compile(r"""[\s;,"'@\[\]]""")


def _artifact(spec: MatchSpec, text: str) -> tuple[tuple[str, str], ...]:
    """What brackets, or a URL, ask of the file. Raises `ValueError` for a field that nothing here can judge."""
    if "[" not in text and "://" not in text:
        return ()
    fields: dict[str, str] = dict(_FIELD.findall(spec.to_canonical_string().partition("[")[2]))
    if unknown := sorted(fields.keys() - _JUDGED):
        raise ValueError(f"bridge cannot judge `{unknown[0]}` of a package")
    if "url" in fields and "#" in text:
        fields |= _hash(text.rpartition("#")[2])
    return tuple((field, value) for field, value in fields.items() if field in _ARTIFACT)


def _hash(fragment: str) -> dict[str, str]:
    """The hash behind a URL, as explicit lock files have it: an md5, or a sha256 with or without that word."""
    value = fragment.removeprefix("sha256:").lower()
    kind = {32: "md5", 64: "sha256"}.get(len(value))
    if kind is None or not set(value) <= set("0123456789abcdef"):
        raise ValueError(f"{fragment!r} is no hash")
    return {kind: value}


@cache
def parse_conda(text: str) -> CondaSpec:
    """Parse a MatchSpec. Raises `UsageError` (`invalid-matchspec`)."""
    if len(text) > MAX_TEXT:
        raise UsageError("invalid-matchspec", f"a MatchSpec of {len(text)} characters is not read")
    try:
        spec = MatchSpec(text)
        versions = VersionSpec(str(spec.version)) if spec.version and spec.version != "*" else None
        number = VersionSpec(str(spec.build_number)) if spec.build_number else None
        artifact = _artifact(spec, text)
        if spec.build and not spec.build.startswith("^") and _NO_BUILD.search(spec.build):
            raise ValueError(f"{spec.build!r} is no build string")
    except Exception as error:  # rattler raises several kinds, all of them "not a MatchSpec"
        raise UsageError("invalid-matchspec", f"not a MatchSpec: {text!r}", context=(str(error),)) from error
    if spec.name is None:
        raise UsageError("invalid-matchspec", f"a MatchSpec without a name: {text!r}")
    return CondaSpec(
        text=text,
        name=str(getattr(spec.name, "normalized", spec.name)),
        versions=versions,
        build=_build_matcher(spec.build),
        build_number=number,
        channel=spec.channel.name if spec.channel is not None else None,
        subdir=spec.subdir,
        extras=tuple(spec.extras or ()),
        condition=str(spec.condition) if spec.condition is not None else None,
        artifact=artifact,
    )


_CONDITION = re.compile(r"\s*(\(|\)|and\b|or\b|(?:(?!\b(?:and|or)\b)[^()])+)")
_MAX_ALTERNATIVES = 64
_Alternatives = list[tuple[CondaSpec, ...]]


def conditions_of(spec: CondaSpec) -> _Alternatives:
    """The condition of a MatchSpec (`when`, CEP 43) as alternatives, each a set of MatchSpecs that hold together.

    Raises `UsageError` (`invalid-matchspec`) for what is no condition, or has more than 64 alternatives.
    """
    tokens = [token.strip() for token in _CONDITION.findall(spec.condition or "")]
    tokens = [token for token in tokens if token]
    found = _any_of(tokens, spec)
    if tokens:
        raise _no_condition(spec)
    return found


def _no_condition(spec: CondaSpec) -> UsageError:
    return UsageError("invalid-matchspec", f"not a condition that is understood: {spec.text!r}")


def _any_of(tokens: list[str], spec: CondaSpec) -> _Alternatives:
    found = _all_of(tokens, spec)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        found = found + _all_of(tokens, spec)
    return found


def _all_of(tokens: list[str], spec: CondaSpec) -> _Alternatives:
    found = _one_of(tokens, spec)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        others = _one_of(tokens, spec)
        found = [one + other for one in found for other in others]
        if len(found) > _MAX_ALTERNATIVES:
            raise _no_condition(spec)
    return found


def _one_of(tokens: list[str], spec: CondaSpec) -> _Alternatives:
    token = tokens.pop(0) if tokens else ")"
    if token == "(":
        found = _any_of(tokens, spec)
        if not tokens or tokens.pop(0) != ")":
            raise _no_condition(spec)
        return found
    if token in {")", "and", "or"}:
        raise _no_condition(spec)
    return [(parse_conda(token),)]


def _build_matcher(build: str | None) -> Callable[[str], object] | None:
    if build is None or build == "*":
        return None
    if build.startswith("^") and build.endswith("$"):
        return re.compile(build).match
    return re.compile(fnmatch.translate(build)).match


@lru_cache(maxsize=1024)
def _channel_names(origin: str) -> tuple[str, ...]:
    """How a channel may be called: its URL, its name (the last part), `owner/name` of nested ones."""
    url = origin.rstrip("/")
    parts = url.split("/")
    return (url, parts[-1], "/".join(parts[-2:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What someone asks, in either syntax.

    `name` is a conda name (`matchspec`), a normalised project (`pep508`), or what the joint space makes of it
    (`either`: the text reads in both syntaxes, and each ecosystem's order judges its own candidates). `bound` limits
    it to one ecosystem. `specifier` and `marker` are PEP 508's.
    """

    text: str
    name: str
    kind: Kind
    bound: Literal["conda", "wheel"] | None = None
    conda: CondaSpec | None = None
    specifier: SpecifierSet | None = None
    extras: tuple[str, ...] = ()
    marker: Marker | None = None
    url: str | None = None


def parse_pypi(text: str) -> Requirement:
    """Parse a PEP 508 requirement (`pypi:NAME…` binds it to wheels). Raises `UsageError` (`invalid-requirement`).

    Secrets in its URL are remembered for requests, and are in no part of the result.
    """
    return _parse_pypi(_without_secrets(text))


def _without_secrets(text: str) -> str:
    try:
        return SECRETS.learn_all(text)
    except ValueError as error:
        raise UsageError("invalid-requirement", f"not a URL: {masked(text)}", context=(str(error),)) from error


@cache
def _parse_pypi(text: str) -> Requirement:
    bound: Literal["conda", "wheel"] | None = None
    body = text
    if text.startswith("pypi:"):
        bound, body = "wheel", text.removeprefix("pypi:")
    if len(body) > MAX_TEXT:
        raise UsageError("invalid-requirement", f"a requirement of {len(body)} characters is not read")
    try:
        parsed = Pep508(body)
    except (InvalidRequirement, RecursionError) as error:
        raise UsageError(
            "invalid-requirement", f"not a PEP 508 requirement: {text!r}", context=(str(error),)
        ) from error
    return Requirement(
        text=text,
        name=canonicalize_name(parsed.name),
        kind="pep508",
        bound=bound,
        specifier=parsed.specifier,
        extras=tuple(sorted(canonicalize_name(extra) for extra in parsed.extras)),
        marker=parsed.marker,
        url=parsed.url,
    )


def conda_requirement(text: str) -> Requirement:
    """A MatchSpec as a requirement (`conda:NAME…` binds it to conda). Raises `UsageError` (`invalid-matchspec`)."""
    bound: Literal["conda", "wheel"] | None = None
    body = text = _without_secrets(text)
    if text.startswith("conda:"):
        bound, body = "conda", text.removeprefix("conda:")
    spec = parse_conda(body)
    if spec.names_a_build:
        bound = "conda"
    return Requirement(text=text, name=spec.name, kind="matchspec", bound=bound, conda=spec, extras=spec.extras)


def parse(text: str) -> Requirement:
    """Parse what a person typed: `conda:` and `pypi:` decide the syntax, else both are tried.

    A text that reads in only one syntax keeps it; one that reads in both is judged in the candidate's own ecosystem.
    Raises `UsageError` (`invalid-requirement`) naming both complaints.
    """
    body = _without_secrets(text.strip())
    if body.startswith("conda:"):
        return conda_requirement(body)
    if body.startswith("pypi:"):
        return parse_pypi(body)
    as_conda, conda_error = _attempt(conda_requirement, body)
    as_pypi, pypi_error = _attempt(parse_pypi, body)
    if as_conda is None and as_pypi is None:
        raise UsageError(
            "invalid-requirement",
            f"{body!r} is neither a MatchSpec nor a PEP 508 requirement",
            context=[*conda_error, *pypi_error],
            hint="write `numpy >=2` (conda) or `torch[extra]>=2` (PyPI); `conda:` and `pypi:` bind to one of them",
        )
    if as_conda is None or as_pypi is None:
        found = as_conda or as_pypi
        assert found is not None
        return found
    if as_conda.bound == "conda" or as_pypi.url or as_pypi.extras or as_pypi.marker:
        return as_conda if as_conda.bound == "conda" else as_pypi
    return Requirement(text=body, name=as_conda.name, kind="either", conda=as_conda.conda, specifier=as_pypi.specifier)


def _attempt(read: Callable[[str], Requirement], text: str) -> tuple[Requirement | None, Sequence[str]]:
    try:
        return read(text), ()
    except UsageError as error:
        return None, (error.message, *error.context)


def specifier_accepts(specifier: SpecifierSet, version: str) -> bool:
    """Judge a version by PEP 440. Pre-releases are not held back here: that is the project's policy, not a clause's."""
    found = pep440_version(version)
    if found is None:
        return not len(specifier) or any(s.operator == "===" and s.version == version for s in specifier)
    return specifier.contains(found, prereleases=True)


def names_prerelease(specifier: SpecifierSet) -> bool:
    """Whether a clause names a pre-release or development release (PEP 440: it asks for them)."""
    return bool(specifier.prereleases)


def pins(specifier: SpecifierSet, version: str) -> bool:
    """Whether a clause asks for exactly this version: `==` without a wildcard, or `===` (PEP 592)."""
    found = pep440_version(version)
    for clause in specifier:
        if clause.operator == "===" and clause.version == version:
            return True
        if clause.operator == "==" and not clause.version.endswith(".*"):
            asked = pep440_version(clause.version)
            if asked is not None and found is not None and asked.public == found.public:
                return True
    return False


@cache
def python_specifier(text: str) -> SpecifierSet | None:
    """A Requires-Python; `None` where PEP 440 cannot read it (pip ignores such a field)."""
    try:
        return SpecifierSet(text)
    except ValueError:
        return None


def marker_holds(marker: Marker, environment: dict[str, str], extra: str = "") -> bool:
    """Evaluate a marker on a target's environment with one extra chosen (`""`: none)."""
    try:
        return marker.evaluate({**environment, "extra": extra})
    except UndefinedEnvironmentName:
        return False
