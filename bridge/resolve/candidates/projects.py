"""The candidates of one PyPI project: its files, best first, and the masks that meet requirements.

Bit 0 of a mask means "absent", bit i+1 the i-th candidate. Each distinct requirement text becomes a mask once, and each
distinct version is compared once per text.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache, partial

from bridge.cache.results import Results, Table, digest
from bridge.errors import UnsafeInputError, UsageError
from bridge.model import FileSequence, IndexFile
from bridge.requirements.algebra import (
    CondaSpec,
    Parts,
    known_parts,
    learn_parts,
    names_prerelease,
    parse_pypi,
    pep440_version,
    pins,
    specifier_accepts,
)
from bridge.resolve.candidates.ranks import file_rank
from bridge.resolve.masks import mask_of, meeting
from bridge.resolve.ruling import file_rule
from bridge.resolve.sources import Options
from converters.target import Python, Target
from converters.translate import Build, build_of
from converters.wheel import WheelInfo, parse_wheel_name

__all__ = ["POLICY", "Project"]

POLICY = "policy: "
"""The start of the reason for which the policy excludes files; the rule follows."""

_Masks = tuple[int, int, dict[str, int], dict[str, int]]  # as `_masks` returns them


class Project:
    """The files of one PyPI project that can run on the target, best first, and the masks that meet requirements."""

    __slots__ = (
        "_conda_masks", "_excluded", "_listed", "_table", "by_python", "by_tags", "files", "name", "prereleases",
        "yanked",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        files: Sequence[IndexFile],
        target: Target,
        options: Options,
        results: Results | None = None,
    ) -> None:
        """:param results: keeps the order and the masks, in a table for exactly these files and the target."""
        self.name = name
        self._table = Table() if results is None else _table(results, name, files, target, options)
        order, excluded, masks = self._table.recall("order", partial(_ordered, files, target, options))
        self._listed, self._excluded = files, excluded
        self.files: Sequence[IndexFile] = FileSequence(len(order), lambda place: files[order[place]])
        self.prereleases, self.yanked, self.by_tags, self.by_python = masks
        self._conda_masks: dict[str, int] = {}

    @property
    def everything(self) -> int:
        """The bits of all files."""
        return (1 << len(self.files) + 1) - 2

    @property
    def excluded(self) -> dict[str, list[IndexFile]]:
        """The files that are no candidates, by the reason."""
        return {reason: [self._listed[place] for place in places] for reason, places in self._excluded.items()}

    def with_file(self, file: IndexFile) -> tuple[Project, int]:
        """Return the project with the file of a URL requirement appended, and that file's bit."""
        for position, known in enumerate(self.files):
            if known.url == file.url:
                return self, 2 << position
        if file.is_wheel:
            parse_wheel_name(file.filename)  # raises
        wider = copy.copy(self)
        wider.files = [*self.files, file]
        wider._table, wider._conda_masks = Table(), {}
        wider.prereleases, wider.yanked, wider.by_tags, wider.by_python = _masks(wider.files)
        return wider, 2 << len(self.files)

    @classmethod
    def of_file(cls, file: IndexFile, target: Target, options: Options) -> Project:
        """Make a project of one file, given by its URL: no index is read, and only its tags can exclude it."""
        return cls(file.project, (), target, options).with_file(file)[0]

    def meets(self, specifier: str | None) -> int:
        """Return the files whose version the specifier accepts (PEP 440)."""
        if not specifier:
            return self.everything
        accepts = partial(specifier_accepts, specifier)
        return self._table.recall(f"meets {specifier}", lambda: meeting(self.files, accepts))

    def learn_requirements(self, texts: Sequence[str]) -> None:
        """Parse the requirements of one of the files, or take over what was parsed before."""

        def parsed() -> dict[str, Parts | str]:
            for text in texts:
                with suppress(UsageError):
                    parse_pypi(text)
            return known_parts(texts)

        learn_parts(self._table.recall(f"requirements {digest(texts)}", parsed) if texts else {})

    def meets_conda(self, spec: CondaSpec) -> int:
        """Return the files whose version, by conda's order, and whose channel a MatchSpec accepts."""
        known = self._conda_masks.get(spec.text)
        if known is None:
            known = meeting(self.files, spec.accepts_version)
            if spec.channel is not None:
                known &= mask_of(file.is_of_channel and spec.accepts_channel(file.origin) for file in self.files)
            self._conda_masks[spec.text] = known
        return known

    def opts_in(self, specifier: str | None) -> bool:
        """Return whether a clause names a pre-release (`algebra.names_prerelease`)."""
        return bool(specifier) and self._table.recall(
            f"opts in {specifier}", partial(names_prerelease, specifier or "")
        )

    def pinned(self, specifier: str | None) -> int:
        """Return the files with the exact version that a clause pins."""
        if not specifier or "==" not in specifier:
            return 0
        return self._table.recall(f"pinned {specifier}", lambda: meeting(self.files, partial(pins, specifier)))

    def build(self, info: WheelInfo, target: Target) -> Build:
        """Return the build of one of the files on a target with its python. Raises as `translate`."""
        python = target.python or Python(version="")
        of_target = (target.subdir, python.version, python.free_threaded)
        key = f"build {of_target} {info.filename} {info.metadata.name} {info.metadata.version}"
        string, number, subdir, is_python = self._table.recall(key, partial(build_of, info, target))
        return string, number, subdir, is_python

    def at(self, version: str) -> int:
        """Return the files of a version, equal by PEP 440."""
        wanted = pep440_version(version)
        return 0 if wanted is None else meeting(self.files, lambda text: pep440_version(text) == wanted)

    def of_version(self, version: str) -> list[IndexFile]:
        """Return the files of one version, equal by PEP 440, files that run here first."""
        wanted = pep440_version(version)
        others = (file for files in self.excluded.values() for file in files if file.is_wheel)
        return [f for f in (*self.files, *others) if wanted is not None and pep440_version(f.version) == wanted]


def _table(results: Results, name: str, files: Sequence[IndexFile], target: Target, options: Options) -> Table:
    """Return the table of a project; one that is not kept, where files are excluded by more than the stamp has."""
    is_limited = (
        options.policy is not None or options.cooldown.is_on or options.builds.only_binary or options.builds.no_binary
    )
    page = files.page if isinstance(files, FileSequence) else ""
    if is_limited or (not page and any(file.expected for file in files)):
        return Table()
    stated = (page,) if page else ((f.filename, f.version, f.yanked is None, f.requires_python) for f in files)
    stamp = digest((target.platform_tags(), options.pre, options.no_build, *stated))
    return results.table(f"{name} on {target.subdir}", stamp)


def _ordered(
    files: Sequence[IndexFile], target: Target, options: Options
) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]], _Masks]:
    """Return the places of usable files, best first, those of others by reason, and the masks of the usable ones."""
    reasons = [_exclusion(file, target, options) for file in files]
    excluded = {
        reason: tuple(place for place, each in enumerate(reasons) if each == reason)
        for reason in dict.fromkeys(reasons)
        if reason is not None
    }
    rank = file_rank(target, has_early=options.pre)
    usable = (place for place, reason in enumerate(reasons) if reason is None)
    order = tuple(sorted(usable, key=lambda place: rank(files[place]), reverse=True))
    return order, excluded, _masks([files[place] for place in order])


def _masks(files: Sequence[IndexFile]) -> _Masks:
    """Return the bits of pre-releases and of yanked files; those of tags, none for an sdist, and of Requires-Python."""
    versions = (pep440_version(file.version) for file in files)
    early = mask_of(version is not None and version.is_prerelease for version in versions)
    by_tags: dict[str, int] = {}
    by_python: dict[str, int] = {}
    for position, file in enumerate(files):
        bit = 2 << position
        tags = "-".join(file.filename[:-4].rsplit("-", 3)[1:]) if file.is_wheel else ""
        by_tags[tags] = by_tags.get(tags, 0) | bit
        if file.requires_python:
            by_python[file.requires_python] = by_python.get(file.requires_python, 0) | bit
    return early, mask_of(file.yanked is not None for file in files), by_tags, by_python


def _exclusion(file: IndexFile, target: Target, options: Options) -> str | None:
    """Return why a file is no candidate on this target with any python; `None` if it is one."""
    if pep440_version(file.version) is None:
        return "version"
    if options.policy is not None and (rule := file_rule(file, options.policy)) is not None:
        return f"{POLICY}{rule}"
    if options.cooldown.is_on:
        latest = options.cooldown.limit((file.project,), file.origin)
        if latest is not None and (file.upload_time is None or file.upload_time > latest):
            return "no-time" if file.upload_time is None else "too-new"
    if not file.is_wheel and (options.no_build or options.builds.bars(file.project, is_wheel=False)):
        return "sdist"
    if file.is_wheel and (reason := _wheel_exclusion(file, target, options)):
        return reason
    return "hash" if file.expected and file.sha256 is not None and file.sha256 not in file.expected else None


def _wheel_exclusion(file: IndexFile, target: Target, options: Options) -> str | None:
    if options.builds.bars(file.project, is_wheel=True):
        return "no-binary"
    platforms = file.filename[:-4].rsplit("-", 1)[-1].split(".")
    if not any(platform == "any" or platform in _platforms(target) for platform in platforms):
        return "platform"
    try:
        parse_wheel_name(file.filename)
    except UnsafeInputError:
        return "name"
    return None


@lru_cache(maxsize=16)
def _platforms(target: Target) -> frozenset[str]:
    return frozenset(target.platform_tags())
