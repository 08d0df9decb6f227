"""What a request was probably meant to say: a name one edit or a known alias away, `==` for a PyPI-only project."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress

from packaging import specifiers

from bridge.errors import BridgeError, NoSolutionError
from bridge.model import IndexFile
from bridge.requirements.algebra import Requirement, conda_requirement, split_binding
from bridge.resolve.public_names import public_names
from converters.deferred import dataclass, regex
from converters.projects import canonicalize_name

__all__ = ["KnownNames", "one_edit_apart", "with_near_names"]

_SHORTEST = 4  # of a name; most pairs of shorter names are one edit apart
_MANY = 3
_OF_VERSION = regex(r"(.*[A-Za-z])[-_]?([0-9]+(?:\.[0-9]+)+)")  # a version written as a part of the name: `python3.11`
_TWO_CLAUSES = regex(r"(.*[\w*])\s*([<>!~]=?[^\s,|]+)")  # whose second is read as a build: `numpy >=1.26 <2`
_FUZZY = regex(r"=?\s*([0-9][\w.!+]*?)(?:\.?\*)?\s*(?:=.*)?")  # conda's `=1.2`, ` 1.2.*`, and a build


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """What channels and indexes know.

    `conda` returns the names of all channels, `providers` the conda names that provide a project, and `files` the files
    that the indexes have for a project; each may raise `BridgeError`.
    """

    conda: Callable[[], Collection[str]]
    providers: Callable[[str], Sequence[str]]
    files: Callable[[str], Sequence[IndexFile]]

    def conda_names(self) -> Collection[str]:
        with suppress(BridgeError):
            return self.conda()
        return ()

    def files_of(self, project: str) -> Sequence[IndexFile]:
        """Return the files of a project; none if an index fails, because that must not hide the original error."""
        with suppress(BridgeError):
            return self.files(project)
        return ()


def with_near_names(error: NoSolutionError, requirements: Iterable[Requirement], known: KnownNames) -> NoSolutionError:
    """Add to an error what the refuted requests that name nothing were probably meant to say.

    Where one request alone is refuted, the others that name nothing are told as well, with what they meant.
    """
    refuted = error.objects.get("requests")
    texts = refuted if isinstance(refuted, list) else []
    hints: list[str] = []
    facts: list[str] = []
    for requirement in dict.fromkeys(requirements):
        if requirement.url is not None or not requirement.name or requirement.name.startswith("__"):
            continue
        if requirement.text in texts:
            hints += _suggestions(requirement, known)
        elif len(texts) == 1 and _is_absent(requirement, known):
            facts.append(f"`{requirement.text}` cannot be met either, because nothing has that name")
            hints += _suggestions(requirement, known)
    if not hints and not facts:
        return error
    return NoSolutionError(
        error.id,
        error.message,
        context=(*error.context, *facts),
        hint="; otherwise, ".join(text for text in ("; ".join(hints), error.hint) if text),
        objects=error.objects,
    )


def _is_absent(requirement: Requirement, known: KnownNames) -> bool:
    """Return whether no channel and no index has the name of a request; `False` if one of them does not answer."""
    conda = requirement.conda.name if requirement.conda is not None else requirement.name
    try:
        if requirement.bound != "wheel" and (conda in known.conda() or known.providers(requirement.name)):
            return False
        return requirement.bound == "conda" or not known.files(canonicalize_name(conda))
    except BridgeError:
        return False


def _suggestions(requirement: Requirement, known: KnownNames) -> Iterator[str]:
    names = known.conda_names()
    may_be_conda, may_be_wheel = requirement.bound != "wheel", requirement.bound != "conda"
    conda = requirement.conda.name if requirement.conda is not None else requirement.name
    key = canonicalize_name(conda)
    providing = [each for each in known.providers(requirement.name) if each in names]
    if requirement.kind == "matchspec" and conda not in names and providing:
        yield f"the package of the project {key} is {providing[0]}: write `{_renamed(requirement, providing[0])}`"
        return
    is_there = may_be_conda and (conda in names or bool(providing))
    is_misnamed = key in public_names()["placeholders"] or any(canonicalize_name(name) == key for name in names)
    if requirement.kind == "matchspec" and may_be_conda and not is_there and not is_misnamed:
        files = known.files_of(key)
        if files:
            yield _as_project(requirement, files)
            return
    elif may_be_wheel and (requirement.kind == "pep508" or not is_there):
        is_provided = may_be_conda and bool(known.providers(requirement.name))
        has_files = bool(known.files_of(requirement.name))
        if conda in names and not is_provided and not has_files:  # what nothing links to the project
            yield f"no index has {conda}, but a channel has a package of that name: write `{_as_package(requirement)}`"
            return
        is_there = is_there or has_files
    if requirement.conda is not None and requirement.conda.names_a_build:
        yield from _with_comma(requirement.text)
    near = list(_near(requirement, known, names, is_there=is_there))
    apart = "" if is_there else _with_version(requirement.text, conda, names)
    if apart:
        yield f"did you mean `{apart}`?"
    elif near:
        yield f"did you mean {' or '.join(f'`{_renamed(requirement, name)}`' for name in near[:_MANY])}?"


def _with_comma(text: str) -> Iterator[str]:
    """Yield the hint that two version clauses take a comma, for a request with a space or nothing between them."""
    match = _TWO_CLAUSES.fullmatch(text.strip())
    if match is not None and any(sign in match[1] for sign in "<>=!~"):
        yield f"`{match[2]}` is read as a build: write `{match[1]},{match[2]}`"


def _with_version(text: str, name: str, names: Collection[str]) -> str:
    """Return the request for a version that was written as a part of a name that channels have; else nothing."""
    match = _OF_VERSION.fullmatch(name)
    bound, whole = split_binding(text)
    if match is None or bound == "pypi:" or whole.lower() != name or match[1] not in names:
        return ""
    return f"{bound}{match[1]}={match[2]}"


def _near(requirement: Requirement, known: KnownNames, names: Collection[str], *, is_there: bool) -> Iterator[str]:
    """Yield the names near that of a request which exist: aliases first, then those one edit apart."""
    asked = requirement.conda.name if requirement.conda is not None else requirement.name
    is_conda = requirement.bound == "conda" or requirement.kind == "matchspec"
    public = public_names()
    key = canonicalize_name(asked)
    candidates = [] if is_there and key not in public["placeholders"] else list(public["aliases"].get(key, ()))
    if not is_there and len(asked) >= _SHORTEST:
        in_channels = [] if requirement.bound == "wheel" else [n for n in names if one_edit_apart(asked, n)]
        in_indexes = [] if is_conda else [name for name in public["popular"] if one_edit_apart(asked, name)]
        ordered = sorted(dict.fromkeys((*in_channels, *in_indexes)), key=lambda name: _distance(asked, name))
        spelled = [n for n in names if canonicalize_name(n) == canonicalize_name(asked)]
        candidates = [*spelled, *candidates, *ordered[: 2 * _MANY]]
    for name in dict.fromkeys(candidates):
        in_channel = requirement.bound != "wheel" and name in names
        if name != asked and (in_channel or (not is_conda and known.files_of(canonicalize_name(name)))):
            yield name


def _distance(asked: str, name: str) -> tuple[object, ...]:
    """Order names one edit apart: swapped letters first, then popular names, then those that begin alike."""
    return (sorted(asked) != sorted(name), name not in public_names()["popular"], asked[0] != name[0], name)


def _renamed(requirement: Requirement, name: str) -> str:
    """Return the text of a request with another name."""
    prefix, rest = split_binding(requirement.text)
    match = re.match(r"(?:[^\s:]+::)?\s*([A-Za-z0-9][\w.-]*)", rest)
    if match is None:
        return name
    start, end = match.span(1)
    return prefix + rest[:start] + name + rest[end:]


def _as_project(requirement: Requirement, files: Sequence[IndexFile]) -> str:
    """Return the hint to ask for a project in PEP 508 syntax instead of conda's."""
    project = files[0].project
    assert requirement.conda is not None
    said = split_binding(requirement.text)[1]
    spec = said[len(requirement.conda.name) :].strip() if said.lower().startswith(requirement.conda.name) else ""
    clause = _pep440(spec, {file.version for file in files})
    bound = "pypi:" if not clause else ""
    return (
        f"no channel has {requirement.conda.name}, but an index has the project {project}: write"
        f" `{bound}{project}{clause}`{' (a single `=` is conda syntax)' if clause else ''}"
    )


def _as_package(requirement: Requirement) -> str:
    """Return a request for a project as one for the conda package of its name."""
    with suppress(BridgeError):
        return conda_requirement(f"conda:{requirement.name}{requirement.specifier or ''}").text
    return f"conda:{requirement.name}"


def _pep440(spec: str, versions: Collection[str]) -> str:
    """Return a MatchSpec's version clause in PEP 440; `""` if there is none, or none that could be translated."""
    match = _FUZZY.fullmatch(spec)
    if match is not None:
        is_exact = match[1] in versions and not spec.rstrip().endswith("*")
        spec = f"=={match[1]}" if is_exact else f"=={match[1]}.*"
    try:
        return str(specifiers.SpecifierSet(spec))
    except specifiers.InvalidSpecifier:
        return ""


def one_edit_apart(one: str, two: str) -> bool:
    """Return whether one letter added, left out, replaced or swapped with its neighbour makes one name the other."""
    if abs(len(one) - len(two)) > 1 or one == two:
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    left, right = one[start:], two[start:]
    return (
        left[1:] == right[1:]
        or left[1:] == right
        or left == right[1:]
        or (left[:2] == right[:2][::-1] and left[2:] == right[2:])
    )
