"""Write PEP 440 specifiers as conda version specs, for written packages only; the resolver uses each order as it is.

Conda orders versions differently (CEP 33): `2.0rc1` is below `2`, so `<2` admits it; `1.0.dev1` is above `1.0rc1`;
`1.0.post1` is above `1.0` and even above `1.0.0.1`. Its clients order local versions differently: conda and rattler
have `1.0+cu121` below `1.0` and `1.0+1` above it, libsolv (mamba, and conda by default) has both above. So each clause
is rewritten according to the kind of version it names; `1.4↑` stands for `1.4.0.0.0.1dev0`, the bound above `1.4` and
its local versions and below everything else:

    >=1.4  !=1.4          the same
    <=1.4                 <1.4↑
    <2.0                  <2dev0                                   `2dev0` is below every spelling of 2's pre-releases
    >1.4                  >=1.4↑,!=1.4.post.*                      PEP 440: `>V` excludes V's local and post-releases
    ==1.4                 ==1.4|>=1.4+dev,<1.4↑                    PEP 440: V matches all its local versions
    ===1.4                ==1.4                                    conda compares versions, not their text
    ==1.4.*  !=1.4.*      1.4.*  !=1.4.*
    ~=1.4                 >=1.4,<2dev0
    >=1.4rc1              >=1.4rc1,<1.4.dev0|>=1.4                 conda has `1.4.dev1` above `1.4rc1`, PEP 440 below
    >=1.4.dev0            >=1.4dev0                                everything of release 1.4
    >=1.4.dev3            >=1.4.dev3|>=1.4dev0,<1.4.dev0           and 1.4's alphas, which conda has below `1.4.dev0`
    <2.1rc1               <2.1rc1
    <2.0rc1               <2dev0|>=2.0dev0,<2.0rc1                 conda has `2rc2` below `2.0rc1`
    >=1.4.post1           >=1.4.post1|>=1.4↑,<1.4.post0.dev0       `1.4.0.1` is above `1.4.post1`; conda has it below
    <1.4.post1            <1.4↑|>=1.4.post0.dev0,<1.4.post1.dev0   the same, from the other side

Final releases match exactly as in PEP 440, except for the text comparison of `===`. docs/conversion.md lists all
remaining differences. Conda has no pre-release policy: the result admits what the specifier admits with pre-releases
allowed.
"""

from __future__ import annotations

from itertools import product
from math import prod

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from converters.errors import UnsafeInputError
from converters.names import NameMap
from converters.projects import canonicalize_name

__all__ = ["conda_version", "is_long", "to_matchspec", "to_version_spec"]

# Conda clauses joined by "and"; an alternative of a version spec.
_Clauses = tuple[str, ...]

_ORDER = (">=", ">", "~=", "==", "===", "<", "<=", "!=")
_MAX_ALTERNATIVES = 32  # people read written requirements; real ones need at most four
_MAX_VERSION = 64  # CEP 26
_MAX_SHOWN = 200
_LONGEST_CLAUSE = 256


def to_version_spec(specifier: SpecifierSet) -> str | None:
    """Return `specifier` as a conda version spec (`>=2.10,<3dev0`), or `None` if it admits any version.

    The order of the clauses does not matter. Raises `UnsafeInputError` (`requirement-untranslatable`) for `===` with an
    invalid version, for a version of more than 256 characters, and for a result of more than 32 alternatives.
    """
    if is_long(specifier):
        raise _untranslatable("a requirement", f"it names a version of more than {_LONGEST_CLAUSE} characters")
    choices = [_alternatives(clause) for clause in _reduced(specifier)]
    if not choices:
        return None
    if prod(map(len, choices)) > _MAX_ALTERNATIVES:
        raise _untranslatable(str(specifier), "it names too many pre- and post-releases at once")
    return "|".join(
        ",".join(dict.fromkeys(clause for clauses in combined for clause in clauses)) for combined in product(*choices)
    )


def is_long(specifier: SpecifierSet) -> bool:
    """Return whether a version has more than 256 characters; python rejects numbers of more than 4,300 digits."""
    return any(len(clause.version) > _LONGEST_CLAUSE for clause in specifier)


def to_matchspec(requirement: Requirement, names: NameMap) -> str:
    """Return a requirement's name and versions as a MatchSpec (`pysocks >=1.5.6,!=1.5.7`), without marker and extras.

    Raises `UnsafeInputError` (`requirement-untranslatable`) if the MatchSpec would mean something else: for a URL,
    which pins one file (PEP 508), and for `python`, which on an index is not the interpreter.
    """
    if requirement.url is not None:
        raise UnsafeInputError(
            "requirement-untranslatable",
            f"{requirement} requires one file by URL; a conda package can only require names, and what has that name in"
            " a channel or index may be somebody else's",
            hint="install the wheel itself with bridge install, or leave the requirement to yourself:"
            f" --drop-dependency {requirement.name}",
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
    """Return PEP 440's canonical text as a conda version (CEP 33), which is the same text.

    Raises `UnsafeInputError` (`version-untranslatable`) above CEP 26's limit of 64 characters.
    """
    if len(version) > _MAX_VERSION:
        raise UnsafeInputError(
            "version-untranslatable", f"the version {version} is longer than the {_MAX_VERSION} characters conda allows"
        )
    return version


def _untranslatable(text: str, why: str) -> UnsafeInputError:
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return UnsafeInputError("requirement-untranslatable", f"{shown} cannot be written as a MatchSpec", context=(why,))


def _reduced(specifier: SpecifierSet) -> list[Specifier]:
    """Return the clauses in a fixed order, without those that another one implies (`>=3.8` by `>=3.11`)."""
    clauses = sorted(specifier, key=lambda clause: (_ORDER.index(clause.operator), _sort_key(clause)))
    kept: dict[object, Specifier] = {}
    for clause in clauses:
        # PEP 440's order is total, so the tightest bound of a kind implies the others. `<V` and `>V` also exclude the
        # pre- or post-releases of V, which another bound implies only if both are final versions.
        exclusive = clause.operator in ("<", ">")
        if clause.operator in (">=", "<=") or (exclusive and _is_final(Version(clause.version))):
            tightest_is_last = clause.operator in (">=", ">")
            if tightest_is_last or clause.operator not in kept:
                kept[clause.operator] = clause
        else:
            kept[clause.operator, clause.version] = clause
    floors = [Version(clause.version) for clause in kept.values() if clause.operator in (">=", "~=")]
    return [clause for clause in kept.values() if not floors or not _is_implied(clause, max(floors))]


def _is_implied(clause: Specifier, lowest: Version) -> bool:
    """Return whether a clause excludes only versions below `lowest`, so that that bound implies it (`!=3.0.*`)."""
    if clause.operator == ">=":
        return Version(clause.version) < lowest
    if clause.operator != "!=":
        return False
    if clause.version.endswith(".*"):
        prefix = Version(clause.version.removesuffix(".*"))
        return Version(f"{_next_release(prefix.epoch, prefix.release)}.dev0") <= lowest
    return Version(clause.version) < lowest


def _sort_key(clause: Specifier) -> tuple[Version, str]:
    try:
        return Version(clause.version.removesuffix(".*")), clause.version
    except InvalidVersion:  # only `===` accepts one; it is refused later
        return Version("0"), clause.version


def _is_final(version: Version) -> bool:
    return not version.is_prerelease and not version.is_postrelease and version.local is None


def _alternatives(clause: Specifier) -> tuple[_Clauses, ...]:
    """Return the alternatives that together accept in conda what `clause` accepts."""
    operator, text = clause.operator, clause.version
    if text.endswith(".*"):
        prefix = Version(text.removesuffix(".*")).base_version
        return ((f"{prefix}.*",) if operator == "==" else (f"!={prefix}.*",),)
    try:
        version = Version(text)
    except InvalidVersion:
        raise _untranslatable(str(clause), f"`===` compares text, and {text!r} is not a version") from None
    if operator == "==" and version.local is None:
        return (f"=={version}",), (f">={version}+dev", f"<{_above(version)}")
    if operator in ("==", "===", "!="):
        return ((f"!={version}" if operator == "!=" else f"=={version}",),)
    if operator == "~=":
        after = Version(_next_release(version.epoch, version.release[:-1]))  # `2` for `~=1.4`
        return tuple((*clauses, f"<{_floor(after)}") for clauses in _at_least(">=", version))
    return _at_least(operator, version) if operator in (">=", ">") else _at_most(operator, version)


def _at_least(operator: str, version: Version) -> tuple[_Clauses, ...]:
    """Return the alternatives of `>=V` and `>V`."""
    release = version.base_version
    bound: _Clauses = (f">={version if operator == '>=' else _above(version)}",)
    if operator == ">" and version.post is None and version.dev is None:
        bound = (*bound, f"!={version}.post.*")
    if version.pre is not None:
        return (*bound, f"<{release}.dev0"), (f">={release}",)
    if version.post is not None:
        return bound, (f">={_above(Version(release))}", f"<{release}.post0.dev0")
    if version.dev is not None:
        if operator == ">=" and version.dev == 0:
            return ((f">={_floor(version)}",),)
        return bound, (f">={release}dev0", f"<{release}.dev0")
    return (bound,)


def _at_most(operator: str, version: Version) -> tuple[_Clauses, ...]:
    """Return the alternatives of `<V` and `<=V`."""
    release = version.base_version
    end = f"<{version if operator == '<' else _above(version)}"
    if version.post is not None and version.pre is None:
        up_to_release: _Clauses = (f"<{_above(Version(release))}",)
        if operator == "<" and version.dev is None:
            end = f"<{release}.post{version.post}.dev0"
        is_first = version.post == 0 and operator == "<"
        return (up_to_release,) if is_first else (up_to_release, (f">={release}.post0.dev0", end))
    if version.pre is not None:
        floor = _floor(version)
        if floor == f"{release}dev0":
            return ((end,),)
        return (f"<{floor}",), (f">={release}dev0", end)
    if version.dev is not None:
        below: _Clauses = (f"<{_floor(version)}",)
        return (below,) if version.dev == 0 and operator == "<" else (below, (f">={release}.dev0", end))
    return ((f"<{_floor(version)}" if operator == "<" else end,),)


def _above(version: Version) -> str:
    """Return a conda version above V and its local versions in every client's order, and below all other releases.

    That is V with zeros and `1dev0` as its sixth number, or its third after V: `1.4.0.0.0.1dev0`. Versions with so many
    numbers are not published.
    """
    zeros = max(5 - len(version.release), 2) if _is_final(version) else 2
    return f"{version.public}{'.0' * zeros}.1dev0"


def _floor(version: Version) -> str:
    """Return a conda version below every spelling of this release and its pre-releases: `2dev0` for `2.0rc1`."""
    parts = list(version.release)
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    epoch = f"{version.epoch}!" if version.epoch else ""
    return f"{epoch}{'.'.join(map(str, parts))}dev0"


def _next_release(epoch: int, prefix: tuple[int, ...]) -> str:
    """Return the first release after those that start with `prefix`: `1.5` for `1.4`."""
    *kept, last = prefix
    return (f"{epoch}!" if epoch else "") + ".".join(map(str, [*kept, last + 1]))
