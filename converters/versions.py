"""PEP 440 specifiers written as conda version specs: only where a conda package or record is written.

Solving never translates; it judges each requirement by its own order. A written package has no such choice, and conda
orders versions differently (CEP 33): `2.0rc1` is below `2`, so `<2` admits it; `1.0.dev1` is above `1.0rc1`;
`1.0.post1` is above `1.0` and even above `1.0.0.1`; `1.0+cu121` is below `1.0`. So every clause is rewritten, by what
sort of version it names:

    >=1.4  <=1.4  !=1.4   the same
    <2.0                  <2dev0                                   `2dev0` is below every spelling of 2's pre-releases
    >1.4                  >1.4,!=1.4.post.*                        PEP 440: `>V` takes no post-release of V
    ==1.4                 ==1.4|>=1.4+dev,<1.4                     PEP 440: V without a local version takes every one
    ===1.4                ==1.4                                    conda compares versions, not their text
    ==1.4.*  !=1.4.*      1.4.*  !=1.4.*
    ~=1.4                 >=1.4,<2dev0
    >=1.4rc1              >=1.4rc1,<1.4.dev0|>=1.4                 conda has `1.4.dev1` above `1.4rc1`, PEP 440 below
    >=1.4.dev0            >=1.4dev0                                everything of release 1.4
    >=1.4.dev3            >=1.4.dev3|>=1.4dev0,<1.4.dev0           and 1.4's alphas, which conda has below `1.4.dev0`
    <2.1rc1               <2.1rc1
    <2.0rc1               <2dev0|>=2.0dev0,<2.0rc1                 conda has `2rc2` below `2.0rc1`
    >=1.4.post1           >=1.4.post1|>1.4,<1.4.post0.dev0         `1.4.0.1` is above `1.4.post1`; conda has it below
    <1.4.post1            <=1.4|>=1.4.post0.dev0,<1.4.post1.dev0   the same, from the other side

Final releases are accepted exactly as PEP 440 has it, but for the text comparison of `===`. What conda cannot say:

* Stricter: a local version of the bound itself, where conda sorts it out: `1.4+cu121` for `>=1.4`, `1.4+1` for `<=1.4`
  and `==1.4`. And development releases of V's own release for `<V` and `<=V`, where V is an alpha, beta or candidate.
* Looser: `!=1.4` leaves `1.4+cu121` in; `>1.4` and `>=1.4.post1` leave `1.4+1` in; `<1.4rc1` leaves `1.4rc1+cu121` in.
  `===1.4` takes `1.4.0`.
* A pre-, post- or development release spelled with other zeros (`1.4.0rc1`, `1.4rc1`) is one version to PEP 440 and two
  to conda: such a bound fits its own spelling; and `1.post1`, of a shorter release, passes `>=1.0.2`, not `<1.0.2`.

Conda has no pre-release policy: what the specifier admits with pre-releases allowed is what the text admits.
"""

from __future__ import annotations

from itertools import product
from math import prod

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from converters.errors import UnsafeInputError
from converters.names import NameMap

__all__ = ["conda_version", "is_long", "to_matchspec", "to_version_spec"]

# One way in which a version can be accepted: conda clauses that all hold.
_Way = tuple[str, ...]

_ORDER = (">=", ">", "~=", "==", "===", "<", "<=", "!=")
_MAX_WAYS = 32  # a written requirement is read by people; real ones need at most four
_MAX_VERSION = 64  # CEP 26
_MAX_SHOWN = 200
_LONGEST_CLAUSE = 256


def to_version_spec(specifier: SpecifierSet) -> str | None:
    """`specifier` as conda's version text (`>=2.10,<3dev0`), or `None` where any version will do.

    The result does not depend on the order in which the clauses were written. Raises `UnsafeInputError`
    (`requirement-untranslatable`) for `===` with something that is no version, for a version of more than 256
    characters, and for a set so mixed that its text would have more than 32 alternatives.
    """
    if is_long(specifier):
        raise _untranslatable("a requirement", f"it names a version of more than {_LONGEST_CLAUSE} characters")
    choices = [_ways(clause) for clause in _reduced(specifier)]
    if not choices:
        return None
    if prod(map(len, choices)) > _MAX_WAYS:
        raise _untranslatable(str(specifier), "it names too many pre- and post-releases at once")
    ways = [tuple(dict.fromkeys(clause for way in combined for clause in way)) for combined in product(*choices)]
    return "|".join(",".join(way) for way in ways)


def is_long(specifier: SpecifierSet) -> bool:
    """Whether it names a version of more than 256 characters; python converts no number of more than 4,300 digits."""
    return any(len(clause.version) > _LONGEST_CLAUSE for clause in specifier)


def to_matchspec(requirement: Requirement, names: NameMap) -> str:
    """A requirement's name and versions as a MatchSpec (`pysocks >=1.5.6,!=1.5.7`), without its marker and extras.

    Raises `UnsafeInputError` (`requirement-untranslatable`) where a name alone would say something else than the
    requirement: a URL, which pins one file (PEP 508), or `python`, which on an index is no interpreter.
    """
    if requirement.url is not None:
        raise UnsafeInputError(
            "requirement-untranslatable",
            f"{requirement} asks for one file by URL; a conda package can ask for names only",
            hint="require that project by name and version, or install the wheel itself with bridge install",
        )
    project = canonicalize_name(requirement.name)
    if project == "python":
        raise _untranslatable(
            str(requirement), "on a package index `python` is not the interpreter; see Requires-Python"
        )
    name = names.native_name(project)
    try:
        versions = to_version_spec(requirement.specifier)
    except UnsafeInputError as error:
        raise _untranslatable(str(requirement), *error.context) from None
    return name if versions is None else f"{name} {versions}"


def conda_version(version: str) -> str:
    """PEP 440's canonical text as a conda version (CEP 33): the same text, epoch and local version included.

    Raises `UnsafeInputError` (`version-untranslatable`) above CEP 26's 64 characters.
    """
    if len(version) > _MAX_VERSION:
        raise UnsafeInputError(
            "version-untranslatable", f"the version {version} is longer than the {_MAX_VERSION} characters conda allows"
        )
    return version


def _untranslatable(text: str, why: str) -> UnsafeInputError:
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return UnsafeInputError("requirement-untranslatable", f"{shown} cannot be said in conda's terms", context=(why,))


def _reduced(specifier: SpecifierSet) -> list[Specifier]:
    """The clauses in a fixed order, without those that another one implies (`>=3.8` beside `>=3.11`)."""
    clauses = sorted(specifier, key=lambda clause: (_ORDER.index(clause.operator), _sort_key(clause)))
    kept: dict[object, Specifier] = {}
    for clause in clauses:
        # PEP 440 orders versions totally, so of several bounds of one kind the tightest is enough. `<V` and `>V` also
        # refuse what belongs to V itself; that is implied only between final versions.
        exclusive = clause.operator in ("<", ">")
        if clause.operator in (">=", "<=") or (exclusive and _is_final(Version(clause.version))):
            tightest_is_last = clause.operator in (">=", ">")
            if tightest_is_last or clause.operator not in kept:
                kept[clause.operator] = clause
        else:
            kept[clause.operator, clause.version] = clause
    lowest = kept.get(">=")
    return [clause for clause in kept.values() if lowest is None or not _is_below(clause, Version(lowest.version))]


def _is_below(clause: Specifier, lowest: Version) -> bool:
    """Whether a clause excludes only versions below `lowest`, so that `>=lowest` says it too (`!=3.0.*`)."""
    if clause.operator != "!=":
        return False
    if clause.version.endswith(".*"):
        prefix = Version(clause.version.removesuffix(".*"))
        return Version(f"{_next_release(prefix.epoch, prefix.release)}.dev0") <= lowest
    return Version(clause.version) < lowest


def _sort_key(clause: Specifier) -> tuple[Version, str]:
    try:
        return Version(clause.version.removesuffix(".*")), clause.version
    except InvalidVersion:  # only `===` takes one; it is refused later
        return Version("0"), clause.version


def _is_final(version: Version) -> bool:
    return not version.is_prerelease and not version.is_postrelease and version.local is None


def _ways(clause: Specifier) -> tuple[_Way, ...]:
    """The alternatives under which conda accepts what `clause` accepts."""
    operator, text = clause.operator, clause.version
    if text.endswith(".*"):
        prefix = _release(Version(text.removesuffix(".*")))
        return ((f"{prefix}.*",) if operator == "==" else (f"!={prefix}.*",),)
    try:
        version = Version(text)
    except InvalidVersion:
        raise _untranslatable(str(clause), f"`===` compares text, and {text!r} is no version") from None
    if operator == "==" and version.local is None:
        return (f"=={version}",), (f">={version}+dev", f"<{version}")
    if operator in ("==", "===", "!="):
        return ((f"!={version}" if operator == "!=" else f"=={version}",),)
    if operator == "~=":
        return tuple((*way, f"<{_floor(_next_prefix(version))}") for way in _at_least(">=", version))
    return _at_least(operator, version) if operator in (">=", ">") else _at_most(operator, version)


def _at_least(operator: str, version: Version) -> tuple[_Way, ...]:
    """`>=V` and `>V`."""
    release = _release(version)
    bound: _Way = (f"{operator}{version}",)
    if operator == ">" and version.post is None and version.dev is None:
        bound = (*bound, f"!={version}.post.*")
    if version.pre is not None:
        return (*bound, f"<{release}.dev0"), (f">={release}",)
    if version.post is not None:
        return bound, (f">{release}", f"<{release}.post0.dev0")
    if version.dev is not None:
        if operator == ">=" and version.dev == 0:
            return ((f">={_floor(version)}",),)
        return bound, (f">={release}dev0", f"<{release}.dev0")
    return (bound,)


def _at_most(operator: str, version: Version) -> tuple[_Way, ...]:
    """`<V` and `<=V`."""
    release = _release(version)
    if version.post is not None and version.pre is None:
        is_first = version.post == 0 and operator == "<"
        start = f"{release}.post{version.post}.dev0"
        end = f"<{start}" if operator == "<" and version.dev is None else f"{operator}{version}"
        return ((f"<={release}",),) if is_first else ((f"<={release}",), (f">={release}.post0.dev0", end))
    if version.pre is not None:
        floor = _floor(version)
        if floor == f"{release}dev0":
            return ((f"{operator}{version}",),)
        return (f"<{floor}",), (f">={release}dev0", f"{operator}{version}")
    if version.dev is not None:
        below: _Way = (f"<{_floor(version)}",)
        return (
            (below,) if version.dev == 0 and operator == "<" else (below, (f">={release}.dev0", f"{operator}{version}"))
        )
    return ((f"<{_floor(version)}" if operator == "<" else f"<={version}",),)


def _release(version: Version) -> str:
    """Epoch and release as written: `1!2.0` of `1!2.0rc1.post2`."""
    return version.base_version


def _floor(version: Version) -> str:
    """A conda version below all of this release, however many zeros it is spelled with: `2dev0` of `2.0rc1`."""
    parts = list(version.release)
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    epoch = f"{version.epoch}!" if version.epoch else ""
    return f"{epoch}{'.'.join(map(str, parts))}dev0"


def _next_prefix(version: Version) -> Version:
    """The first release that `~=V` no longer takes (PEP 440): `2` of `1.4`, `1.5` of `1.4.5.post1`."""
    return Version(_next_release(version.epoch, version.release[:-1]))


def _next_release(epoch: int, prefix: tuple[int, ...]) -> str:
    """The first release that does not begin with `prefix`: `1.5` of `1.4`."""
    *kept, last = prefix
    return (f"{epoch}!" if epoch else "") + ".".join(map(str, [*kept, last + 1]))
