"""Requirements in two syntaxes, never mixed: MatchSpecs use conda's version order, PEP 508 requirements PEP 440.

Either kind is matched against either kind of candidate, by the version's text (and the build, if it has one). A version
that an order cannot parse meets only a requirement without a version clause. Parsing and matching are memoised by text;
nothing here does I/O (rattler's `MatchSpec`, `Version` and `VersionSpec` are pure).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from packaging import markers, requirements, specifiers
from packaging import version as versions

from bridge.errors import UsageError
from bridge.requirements.matchspec import MAX_TEXT, CondaSpec, conda_version, conditions_of, parse_conda
from bridge.sdists.location import EDITABLE, source_of
from bridge.secrets import SECRETS, masked
from converters.deferred import dataclass, replace
from converters.projects import canonicalize_name

if TYPE_CHECKING:
    from packaging.markers import Marker
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version as Pep440Version

__all__ = [
    "MAX_TEXT",
    "CondaSpec",
    "Kind",
    "Parts",
    "Requirement",
    "conda_requirement",
    "conda_version",
    "conditions_of",
    "known_parts",
    "learn_parts",
    "marker_holds",
    "names_prerelease",
    "parse",
    "parse_conda",
    "parse_pypi",
    "pep440_version",
    "pins",
    "python_specifier",
    "specifier_accepts",
    "split_binding",
    "unnamed_requirement",
    "with_name",
]

Kind = Literal["matchspec", "pep508", "either"]

Parts = tuple[str, str, Sequence[str], str | None, str | None]
"""The normalised project, specifier, sorted extras, marker and URL of a PEP 508 text."""

_known_parts: dict[str, Parts | str] = {}  # or the error


@cache
def pep440_version(text: str) -> Pep440Version | None:
    """Parse a PEP 440 version; `None` if it is none, or has more digits than python converts."""
    try:
        return versions.Version(text)
    except ValueError:  # `InvalidVersion`, or "Exceeds the limit (4300 digits) for integer string conversion"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A requirement in either syntax.

    `name` is a conda name (`matchspec`), a normalised project (`pep508`), or either (`either`: the text is valid in
    both syntaxes, and each ecosystem's order applies to its own candidates). `bound` limits it to one ecosystem.
    `specifier` and `marker` are PEP 508's, in the form of `packaging`. `url` is the whole location: `-e` in a text
    becomes a part of its fragment (`bridge.sdists.location`). `name` is empty if only the source code at `url` says
    which project it is.
    """

    text: str
    name: str
    kind: Kind
    bound: Literal["conda", "wheel"] | None = None
    conda: CondaSpec | None = None
    specifier: str | None = None
    extras: tuple[str, ...] = ()
    marker: str | None = None
    url: str | None = None

    decisive = ("kind", "bound", "name", "text")  # all others follow from these

    def accepts(self, version: str) -> bool:
        """Return whether a version meets the specifier, or the MatchSpec if there is none."""
        if self.specifier is not None:
            return specifier_accepts(self.specifier, version)
        return self.conda is None or self.conda.accepts_version(version)


def parse_pypi(text: str) -> Requirement:
    """Parse a PEP 508 requirement (`pypi:NAME…` binds it to wheels). Raises `UsageError` (`invalid-requirement`).

    Secrets in its URL are stored for requests and removed from the result.
    """
    return _parse_pypi(_without_secrets(text))


def _without_secrets(text: str) -> str:
    try:
        return SECRETS.learn_all(text)
    except ValueError as error:
        raise UsageError("invalid-requirement", f"not a URL: {masked(text)}", context=(str(error),)) from error


def split_binding(text: str) -> tuple[str, str]:
    """Split a requirement into `conda:`, `pypi:` or nothing, which binds it to an ecosystem, and what follows."""
    prefix = next((each for each in ("conda:", "pypi:") if text.startswith(each)), "")
    return prefix, text[len(prefix) :].strip()


@cache
def _parse_pypi(text: str) -> Requirement:
    bound: Literal["conda", "wheel"] | None = None
    body = text
    if text.startswith("pypi:"):
        bound, body = "wheel", text.removeprefix("pypi:")
    is_editable = body.startswith("-e ")
    body = body.removeprefix("-e ").lstrip() if is_editable else body
    if len(body) > MAX_TEXT:
        raise UsageError("invalid-requirement", f"a requirement of {len(body)} characters is too long to be read")
    parts = _known_parts[body] if body in _known_parts else _parts(body)
    if isinstance(parts, str):
        raise UsageError("invalid-requirement", f"not a PEP 508 requirement: {text!r}", context=(parts,))
    name, specifier, extras, marker, url = parts
    if "\0" in (url or ""):
        raise UsageError("invalid-requirement", f"not a URL, because it contains a NUL byte: {text!r}")
    if is_editable and (url is None or source_of(url) is None):
        raise UsageError("invalid-requirement", f"only source code can be editable: {text!r}", hint="omit -e")
    if url is not None and is_editable:
        url = f"{url}{'&' if '#' in url else '#'}{EDITABLE}"
    return Requirement(
        text=text,
        name=name,
        kind="pep508",
        bound=bound,
        specifier=specifier,
        extras=tuple(extras),  # a list, if an earlier run kept it
        marker=marker,
        url=url,
    )


def _parts(text: str) -> Parts | str:
    """Parse a text by `packaging`; returns the error of one that it cannot read."""
    parts: Parts | str
    try:
        parsed = requirements.Requirement(text)
        urlsplit(parsed.url or "")
        extras = tuple(sorted(map(canonicalize_name, parsed.extras)))
        marker = None if parsed.marker is None else str(parsed.marker)
        parts = canonicalize_name(parsed.name), str(parsed.specifier), extras, marker, parsed.url
    except (ValueError, RecursionError) as error:  # `InvalidRequirement` and `urlsplit`
        parts = str(error)
    _known_parts[text] = parts
    return parts


def known_parts(texts: Iterable[str]) -> dict[str, Parts | str]:
    """Return the parts, or the errors, of those texts that were parsed, for `learn_parts` in a later process."""
    return {text: _known_parts[text] for text in set(texts) if text in _known_parts}


def learn_parts(parts: Mapping[str, Parts | str]) -> None:
    """Take over what `packaging` made of texts before, which spares its import."""
    _known_parts.update(parts)


def unnamed_requirement(url: str, *, extras: str = "", marker: str = "", is_editable: bool = False) -> Requirement:
    """Return the requirement of the source code at a URL that does not say its project; `with_name` completes it.

    Raises `UsageError` (`invalid-requirement`).
    """
    requirement = parse_pypi(_direct_text("unnamed", url, extras, marker, is_editable=is_editable))
    text = f"{'-e ' if is_editable else ''}{url}{extras}{f' ; {marker}' if marker else ''}"
    return replace(requirement, name="", text=_without_secrets(text))


def with_name(requirement: Requirement, project: str) -> Requirement:
    """Return the requirement of source code whose project is known now."""
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    is_editable = requirement.text.startswith("-e ")
    url = (requirement.url or "").removesuffix(EDITABLE).rstrip("#&") if is_editable else requirement.url or ""
    return parse_pypi(_direct_text(project, url, extras, requirement.marker or "", is_editable=is_editable))


def _direct_text(name: str, url: str, extras: str, marker: str, *, is_editable: bool) -> str:
    return f"{'-e ' if is_editable else ''}{name}{extras} @ {url}{f' ; {marker}' if marker else ''}"


def conda_requirement(text: str) -> Requirement:
    """Parse a MatchSpec (`conda:NAME…` binds it to conda). Raises `UsageError` (`invalid-matchspec`)."""
    bound: Literal["conda", "wheel"] | None = None
    body = text = _without_secrets(text)
    if text.startswith("conda:"):
        bound, body = "conda", text.removeprefix("conda:")
    spec = parse_conda(body)
    if spec.names_a_build:
        bound = "conda"
    return Requirement(text=text, name=spec.name, kind="matchspec", bound=bound, conda=spec, extras=spec.extras)


def parse(text: str) -> Requirement:
    """Parse a requirement that a user typed: `conda:` and `pypi:` select the syntax, else both are tried.

    A text that is valid in both syntaxes is matched in the candidate's own ecosystem. Raises `UsageError`
    (`invalid-requirement`) with the errors of both.
    """
    body = _without_secrets(text.strip())
    if body.startswith("conda:"):
        return conda_requirement(body)
    if body.startswith(("pypi:", "-e ")):
        return parse_pypi(body)
    as_conda, conda_error = _attempt(conda_requirement, body)
    as_pypi, pypi_error = _attempt(parse_pypi, body)
    if as_conda is None and as_pypi is None:
        raise UsageError(
            "invalid-requirement",
            f"{body!r} is neither a MatchSpec nor a PEP 508 requirement",
            context=[*conda_error, *pypi_error],
            hint=_meant(body)
            or "write `numpy >=2` (conda) or `torch[extra]>=2` (PyPI); `conda:` and `pypi:` bind to one of them",
        )
    if as_conda is None or as_pypi is None:
        valid = as_conda or as_pypi
        assert valid is not None
        return valid
    if as_conda.bound == "conda" or as_pypi.url or as_pypi.extras or as_pypi.marker:
        return as_conda if as_conda.bound == "conda" else as_pypi
    return Requirement(text=body, name=as_conda.name, kind="either", conda=as_conda.conda, specifier=as_pypi.specifier)


def _meant(text: str) -> str | None:
    """What was meant by a comparison with its signs swapped (`numpy=>2`), if it reads so."""
    swapped = re.sub(r"=([<>])(?!=)", r"\1=", text)
    if swapped == text or (_attempt(conda_requirement, swapped)[0] or _attempt(parse_pypi, swapped)[0]) is None:
        return None
    return f"did you mean {swapped!r}?"


def _attempt(read: Callable[[str], Requirement], text: str) -> tuple[Requirement | None, Sequence[str]]:
    try:
        return read(text), ()
    except UsageError as error:
        return None, (error.message, *error.context)


def specifier_accepts(specifier: str, version: str) -> bool:
    """Match a version by PEP 440. Pre-releases are accepted: excluding them is the resolver's policy."""
    if not specifier:
        return True
    clauses, parsed = _specifiers(specifier), pep440_version(version)
    if parsed is None:
        return any(each.operator == "===" and each.version == version for each in clauses)
    try:
        return clauses.contains(parsed, prereleases=True)
    except ValueError:  # a clause with more digits than python converts: no version meets it
        return False


@cache
def _specifiers(text: str) -> SpecifierSet:
    return specifiers.SpecifierSet(text)


def names_prerelease(specifier: str) -> bool:
    """Return whether a clause names a pre-release or development release, which PEP 440 takes as opting in."""
    try:
        return bool(_specifiers(specifier).prereleases)
    except ValueError:  # more digits than python converts
        return False


def pins(specifier: str, version: str) -> bool:
    """Return whether a clause requests exactly this version: `==` without a wildcard, or `===` (PEP 592)."""
    parsed = pep440_version(version)
    for clause in _specifiers(specifier):
        if clause.operator == "===" and clause.version == version:
            return True
        if clause.operator == "==" and not clause.version.endswith(".*"):
            pinned = pep440_version(clause.version)
            if pinned is not None and parsed is not None and pinned.public == parsed.public:
                return True
    return False


def python_specifier(text: str) -> str | None:
    """Return a Requires-Python; `None` if PEP 440 cannot read it (pip ignores such a field)."""
    try:
        _specifiers(text)
    except ValueError:
        return None
    return text


@cache
def _marker(text: str) -> Marker:
    return markers.Marker(text)


def marker_holds(marker: str, environment: dict[str, str], extra: str = "") -> bool:
    """Evaluate a marker on a target's environment with one extra (`""`: none)."""
    try:
        return _marker(marker).evaluate({**environment, "extra": extra})
    except (markers.UndefinedEnvironmentName, markers.UndefinedComparison, ValueError, RecursionError):
        return False  # an unknown name, `~=` on a text, or a version with more digits than python converts
