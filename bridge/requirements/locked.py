"""The content of a lock: for each environment and platform the packages, each with the one artifact that was locked.

Every format is read into these values, and written from them. A lock that holds for several platforms at once
(uv.lock, pylock.toml) lists several files of one project, with markers; `for_target` chooses among them as pip would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from packaging import utils

from bridge.errors import UsageError
from bridge.requirements.algebra import marker_holds, python_specifier, specifier_accepts
from converters.deferred import dataclass
from converters.record import Record
from converters.target import Target

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = [
    "Facts",
    "Lock",
    "LockFormat",
    "Locked",
    "LockedConda",
    "LockedEnvironment",
    "LockedSource",
    "LockedWheel",
    "SourceKind",
    "for_target",
]

LockFormat = Literal["rattler", "conda-lock", "uv", "pylock", "explicit"]
SourceKind = Literal["sdist", "archive", "git", "directory"]

_DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was known of a file when it was locked, and its artifact or its format does not state.

    :param license: of a wheel, as its METADATA states it; `None`: unknown.
    :param yanked: the reason (PEP 592), `""` if none was given; `None`: it was not yanked, or that is unknown.
    :param attestations: the publishers that were verified, each as key → text.
    :param advertised: the sha256 of a conda package's attestations (CEP 50).
    :param choice: why the other ecosystem does not provide the package.
    :param size: of an archive of source code, in bytes.
    """

    license: str | None = None
    yanked: str | None = None
    attestations: tuple[Mapping[str, str], ...] = ()
    advertised: str | None = None
    choice: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedConda:
    """A conda package.

    :param record: has name, version, build, subdir, url, filename, origin (the channel's URL) and sha256 or md5;
        `requirements` and `constraints` are its `depends` and `constrains`.
    :param is_complete: the lock states all that repodata states. Otherwise `noarch`, `build_number`, `constraints` and
        others are unknown until the archive is read.
    :param requested: the texts of the requests that it meets, where the lock says so.
    :param facts: `None` where the lock has none, as those of other tools; also of the other kinds.
    """

    record: Record
    is_complete: bool = True
    requested: tuple[str, ...] = ()
    facts: Facts | None = None

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def version(self) -> str:
        return self.record.version

    @property
    def url(self) -> str:
        return self.record.url

    @property
    def sha256(self) -> str | None:
        return self.record.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedWheel:
    """A wheel.

    :param name: the normalised project. `index`: the URL of the index that has it; empty: unknown, or a direct URL.
    :param is_direct: requested by its URL or path, so that direct_url.json records it (PEP 610).
    :param requires_dist: PEP 508 texts; `None` where the lock does not say what the wheel requires.
    :param extras: those that are requested of it, where the lock says so.
    :param upload_time: milliseconds since the epoch.
    :param marker: PEP 508; it is installed only where this holds. Empty: everywhere on the platform it is listed for.
    """

    name: str
    version: str
    url: str
    filename: str
    sha256: str
    md5: str | None = None
    size: int | None = None
    index: str = ""
    is_direct: bool = False
    requires_dist: tuple[str, ...] | None = None
    requires_python: str | None = None
    extras: tuple[str, ...] = ()
    upload_time: int | None = None
    marker: str = ""
    requested: tuple[str, ...] = ()
    facts: Facts | None = None

    @property
    def tags(self) -> frozenset[Tag]:
        """The tags of the file name; none for a name that is no wheel's."""
        try:
            return utils.parse_wheel_filename(self.filename)[3]
        except utils.InvalidWheelFilename:
            return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSource:
    """Source code, of which a wheel is built: a source distribution, another archive, a git commit or a folder.

    :param version: empty if only a build tells it.
    :param url: as a requirement states it, `subdirectory=` in its fragment included: `https://…/x-1.tar.gz`,
        `git+https://…@COMMIT#subdirectory=…`, `file:///folder`.
    :param path: of a folder or an archive, as the lock writes it (relative to the lock).
    :param revision: the commit of git, or the sha256 of a folder's files where the lock states one.
    :param reference: the branch, tag or commit that was asked for.
    :param sha256: of an archive; the other kinds have none.
    """

    name: str
    version: str = ""
    kind: SourceKind
    url: str
    path: str = ""
    filename: str = ""
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    index: str = ""
    revision: str | None = None
    reference: str = ""
    is_editable: bool = False
    requires_dist: tuple[str, ...] | None = None
    requires_python: str | None = None
    extras: tuple[str, ...] = ()
    upload_time: int | None = None
    marker: str = ""
    requested: tuple[str, ...] = ()
    facts: Facts | None = None


Locked: TypeAlias = LockedConda | LockedWheel | LockedSource


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedEnvironment:
    """One named environment.

    :param channels: URLs, highest priority first. `indexes`: the same of package indexes; `find_links`: further places.
    :param packages: subdir → what is locked for it.
    :param virtual_packages: subdir → `NAME=VERSION[=BUILD]` that were assumed, where the lock says so.
    :param requires_python: PEP 440. `markers`: of which one must hold on the target (PEP 751 `environments`).
    :param extras, groups: the names that can be asked for, of the project that was locked.
    """

    name: str = _DEFAULT
    channels: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    packages: Mapping[str, tuple[Locked, ...]]
    virtual_packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires_python: str | None = None
    markers: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def on(self, subdir: str, path: Path) -> tuple[Locked, ...]:
        """Return what is locked for a platform. Raises `UsageError` (`lock-platform`); `path` is the lock's."""
        packages = self.packages.get(subdir)
        if packages is None:
            known = ", ".join(sorted(self.packages)) or "none"
            raise UsageError(
                "lock-platform",
                f"{path} does not lock the platform {subdir}",
                context=(f"locked: {known}",),
                hint=f"lock it for {subdir} too, or choose another with --platform",
                objects={"path": str(path), "platform": subdir},
            )
        return packages


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock file that was read.

    :param path: the file. `version`: of its format. `warnings`: what was read and has no effect, one sentence each.
    """

    path: Path
    format: LockFormat
    version: str = ""
    environments: tuple[LockedEnvironment, ...]
    warnings: tuple[str, ...] = ()

    def environment(self, name: str | None = None) -> LockedEnvironment:
        """Return an environment by its name; by default the only one, or the one called `default`.

        Raises `UsageError` (`lock-environment`).
        """
        names = [each.name for each in self.environments]
        wanted = name or (names[0] if len(names) == 1 else _DEFAULT)
        for each in self.environments:
            if each.name == wanted:
                return each
        if not names:
            hint = "write it again with the tool that made it"
            raise UsageError("lock-environment", f"{self.path} has no environments", hint=hint)
        problem = f"has no environment {name!r}" if name else "has several environments, none of them called `default`"
        raise UsageError(
            "lock-environment",
            f"{self.path} {problem}",
            context=(f"its environments: {', '.join(names) or 'none'}",),
            hint="choose one with --environment",
            objects={"path": str(self.path), "environments": names},
        )


def for_target(environment: LockedEnvironment, target: Target, path: Path) -> tuple[Locked, ...]:
    """Return exactly what is to be installed on a target: what its markers exclude is left out, and of the files of one
    project the wheel with the best tag is chosen, else its source code.

    :param target: with the python of the environment, unless nothing but conda packages is locked. If the lock has
        python itself, it must be this one.
    :param path: the lock's, for errors.

    Raises `UsageError` (`lock-platform`, `lock-python`: not locked for this platform, or nothing locked of a project
    runs on this python; `lock-ambiguous`: two versions of one project are locked for the target).
    """
    packages = environment.on(target.subdir, path)
    conda = [each for each in packages if isinstance(each, LockedConda)]
    others = [each for each in packages if not isinstance(each, LockedConda)]
    if not others:
        return tuple(conda)
    values = target.marker_environment()
    _check_environment(environment, values, path)
    projects: dict[str, list[LockedWheel | LockedSource]] = {}
    for each in others:
        if not each.marker or marker_holds(each.marker, values):
            projects.setdefault(each.name, []).append(each)
    ranks = {tag: place for place, tag in enumerate(target.tags())}
    return (*conda, *(_best(name, files, ranks, target, path) for name, files in projects.items()))


def _check_environment(environment: LockedEnvironment, values: dict[str, str], path: Path) -> None:
    version = values["python_full_version"]
    specifier = python_specifier(environment.requires_python or "")
    if specifier is not None and not specifier_accepts(specifier, version):
        raise _wrong_python(path, f"{path} is locked for python {environment.requires_python}, not for {version}")
    if environment.markers and not any(marker_holds(each, values) for each in environment.markers):
        problem = f"{path} is not locked for this platform and python {version}"
        raise _wrong_python(path, problem, (f"it holds where: {each}" for each in environment.markers))


def _best(
    name: str,
    files: Sequence[LockedWheel | LockedSource],
    ranks: Mapping[Tag, int],
    target: Target,
    path: Path,
) -> LockedWheel | LockedSource:
    versions = sorted({each.version for each in files if each.version})
    if len(versions) > 1:
        problem = f"{path} locks {name} at several versions for one platform: {', '.join(versions)}"
        raise UsageError("lock-ambiguous", problem, hint="write the lock again with the tool that made it")
    ranked = [(min((ranks[tag] for tag in each.tags if tag in ranks), default=None), each) for each in _wheels(files)]
    fitting = [(rank, each) for rank, each in ranked if rank is not None and _fits(each, target)]
    if fitting:
        return min(fitting, key=lambda item: item[0])[1]
    sources = [each for each in files if isinstance(each, LockedSource) and _fits(each, target)]
    if sources:
        return sources[0]
    python = target.python.version if target.python is not None else ""
    context = [
        f"locked: {each.filename or each.url}" + (f", for python {each.requires_python}" * bool(each.requires_python))
        for each in files
    ]
    problem = f"{path} locks no file of {name} {''.join(versions)} that runs on python {python} for {target.subdir}"
    raise _wrong_python(path, problem, context)


def _wheels(files: Iterable[LockedWheel | LockedSource]) -> list[LockedWheel]:
    return [each for each in files if isinstance(each, LockedWheel)]


def _fits(each: LockedWheel | LockedSource, target: Target) -> bool:
    specifier = python_specifier(each.requires_python or "")
    return specifier is None or target.python is None or specifier_accepts(specifier, target.python.version)


def _wrong_python(path: Path, problem: str, context: Iterable[str] = ()) -> UsageError:
    hint = "choose a python that the lock was made for, or make the lock again"
    return UsageError("lock-python", problem, context=tuple(context), hint=hint, objects={"path": str(path)})
