"""The options that commands share, as decorators: a command takes the groups that concern it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from bridge.cli.declaring import argument, grouped, option
from bridge.errors import UsageError
from converters.deferred import dataclass, regex

__all__ = [
    "Words",
    "archives",
    "changing",
    "exported_sources",
    "lock",
    "lock_sources",
    "locked_sources",
    "names",
    "output",
    "part_of_lock",
    "prefix",
    "requirements",
    "ruled",
    "sources",
    "wheel_sources",
]

Command = TypeVar("Command", bound=Callable[..., object])


def _only_one(values: Sequence[str]) -> str | None:
    """The platform of a command that serves one. Raises `UsageError` (`usage`) for several."""
    if len(values) > 1:
        raise UsageError(
            "usage",
            f"--platform was given {len(values)} times, and this command serves one platform",
            hint="`bridge lock` serves several: one solve and one lock for all of them",
        )
    return values[0] if values else None


_PLAIN = regex(r"(?:(?:conda|pypi):)?[A-Za-z0-9][A-Za-z0-9_-]*(?: *[<>=!~]+ *[0-9][0-9.*,<>=!~ ]*)?")
_OFFLINE = option("--offline", is_flag=True, help="Use only the cache.")
_POLICY = option("--policy", metavar="FILE", type="path", help="What may come from where, and how (default:"
                 " the project's bridge-policy.toml or [tool.bridge.policy]).")  # fmt: skip
_PLATFORM = option("--platform", multiple=True, callback=_only_one, metavar="SUBDIR", help="Target platform"
                         " (default: this machine): linux-64, …")  # fmt: skip
_PLATFORMS = option("--platform", "platforms", multiple=True, metavar="SUBDIR", help="Make only the packages that"
                          " serve this platform; repeatable (default: all on which a wheel runs).")  # fmt: skip
_LOCKED_PLATFORMS = option("--platform", "platforms", multiple=True, metavar="SUBDIR", help="Target platforms"
                                 " (default: those of the lock, else of the files, else this machine).")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The requirements of a command line as typed: texts, files of requirements, and what to take from the files."""

    requirements: Sequence[str] = ()
    files: Sequence[str] = ()
    extras: Sequence[str] = ()
    groups: Sequence[str] = ()
    editables: Sequence[str] = ()
    environment: str | None = None
    ignores_missing_paths: bool = False

    @property
    def are_plain(self) -> bool:
        """Whether they are names and versions, which mean the same whatever lies on the disk."""
        others = (self.files, self.extras, self.groups, self.editables, self.environment)
        return bool(self.requirements) and not any(others) and all(map(_PLAIN.fullmatch, self.requirements))


def _environment_names(*asked: Any) -> list[str]:  # noqa: ANN401 - as click calls it
    from bridge.cli.completion import environment_names

    return environment_names(*asked)


def prefix(command: Command) -> Command:
    options = (
        option("-p", "--prefix", metavar="DIR", type="path", help="The environment (default:"
                     " $CONDA_PREFIX)."),
        option("-n", "--name", metavar="NAME", shell_complete=_environment_names, help="The environment by its"
                     " name (`bridge env list`)."),
    )  # fmt: skip
    return grouped(command, "Environment", options)


def sources(command: Command) -> Command:
    """Sources of packages, the target, and preferences."""
    return _places(ruled(_choice(_network(command))), "--index", _PLATFORM)


def wheel_sources(command: Command) -> Command:
    """The same for `bridge convert`, whose `--index` is a flag and whose packages are for several platforms."""
    return _places(ruled(_choice(_network(command))), "--project-index", _PLATFORMS)


def lock_sources(command: Command) -> Command:
    """The same for `bridge lock`, which serves several platforms."""
    return _places(ruled(_choice(_network(command))), "--index", _LOCKED_PLATFORMS)


def locked_sources(command: Command) -> Command:
    """Sources of packages that are chosen already."""
    return _places(ruled(_network(command)), "--index", _PLATFORM)


def exported_sources(command: Command) -> Command:
    """The same for `bridge export`, which may take several platforms of a lock."""
    return _places(_network(command), "--index", _LOCKED_PLATFORMS)


def ruled(command: Command) -> Command:
    """Which policy holds."""
    return grouped(command, "Choice of packages", (_POLICY,))


def names(command: Command) -> Command:
    """What says which projects the installed packages provide, and the target of their markers."""
    return _channels(_target(grouped(command, "Network and builds", (_OFFLINE,)), _PLATFORM))


def _places(command: Command, project_index: str, platform: Callable[[Command], Command]) -> Command:
    options = (
        option(project_index, "index", multiple=True, metavar="NAME=URL", help="Take the project NAME only from"
                     " this index."),
        option("--index-url", metavar="URL", help="Package index (default: from pip's configuration)."),
        option("--extra-index-url", multiple=True, metavar="URL", help="More indexes; the first with a project"
                     " serves it."),
        option("--index-strategy", metavar="first|best", help="first: only the first index that has a project"
                     " serves it (default); best: all do, the best version counts."),
        option("--find-links", multiple=True, metavar="DIR_OR_URL", help="Directories of files, or pages that"
                     " link to files, beside the indexes."),
        option("--no-index", is_flag=True, help="Use no package index, only --find-links."),
    )  # fmt: skip
    return _channels(grouped(_target(command, platform), "Channels and indexes", options))


def _channels(command: Command) -> Command:
    options = (
        option("-c", "--channel", multiple=True, metavar="NAME_OR_URL", help="Conda channels, highest priority"
                     " first: name, URL or directory; `host` is the interpreter that runs bridge."),
        option("--override-channels", is_flag=True, help="Use the channels given with -c only, not those of"
                     " files."),
        option("--channel-priority", metavar="strict|flexible", help="strict: only the first channel that has a"
                     " package serves it (default); flexible: all do."),
        option("--name-map", metavar="FILE_OR_URL", help="JSON: conda name -> list of PyPI names."),
    )  # fmt: skip
    return grouped(command, "Channels and indexes", options)


def _target(command: Command, platform: Callable[[Command], Command]) -> Command:
    options = (
        platform,
        option("--virtual-package", multiple=True, metavar="NAME=VERSION[=BUILD]", help="Of the target: __glibc=2.28."),
    )
    return grouped(command, "Target", options)


def _choice(command: Command) -> Command:
    options = (
        option("--prefer", metavar="conda|wheel|newest", help="Which ecosystem to prefer if both have a package"
                     " (default: conda)."),
        option("--only", multiple=True, metavar="NAME=conda|wheel", help="Use one ecosystem for NAME."),
        option("--exclude-newer", multiple=True, metavar="[NAME_OR_SOURCE=]DATE_OR_DURATION", help="Ignore newer"
                     " files, in both ecosystems; for one package, channel or index, or `NAME=never`."),
        option("--pre", is_flag=True, help="Allow pre-releases of wheels."),
        option("--patience", type=float, metavar="SECONDS", help="How long a search may take before it stops and"
                     " prints what it has learned (default: 60)."),
    )  # fmt: skip
    return grouped(command, "Choice of packages", options)


def _network(command: Command) -> Command:
    options = (
        _OFFLINE,
        option("--no-build", is_flag=True, help="Never build a source distribution."),
        option("--build-network", is_flag=True, help="Allow builds to use the network."),
    )
    return grouped(command, "Network and builds", options)


def changing(command: Command) -> Command:
    """How a command changes a prefix."""
    options = (
        option("--adopt", is_flag=True, help="Take over existing files that no package owns, if they are equal."),
        option("--set-aside", is_flag=True, help="Rename existing files that no package owns."),
        option("--allow-clobber", multiple=True, metavar="PATTERN", help="Which package yields where two bring"
                     " one path."),
        option("--allow-link-scripts", is_flag=True, help="Run link scripts of conda packages."),
        option("--compile", "compile", flag_value="yes", help="Compile modules to bytecode (default: python does"
                     " so on import)."),
        option("--no-compile", "compile", flag_value="no", help="Do not compile, despite BRIDGE_COMPILE."),
        option("--allow-external-symlinks", is_flag=True, help="Accept conda packages with symlinks that leave"
                     " the prefix."),
        option("--refuse-startup-code", is_flag=True, help="Refuse wheels with code that runs at every start"
                     " of python (.pth, sitecustomize, usercustomize)."),
        option("--override-frozen", is_flag=True, help="Change an environment that is marked as frozen."),
        option("--lock-timeout", type=float, metavar="SECONDS", help="How long to wait for another process."),
        option("--durability", metavar="full|batched|none", help="What to sync to disk: each file, everything"
                     " with one sync (default), or nothing."),
        option("--link-mode", metavar="auto|clone|copy|hardlink", help="How files come from the cache: as clones"
                     " where the file system can, else as copies (default), or as hard links."),
        option("--dry-run", is_flag=True, help="Print the plan and change nothing."),
        option("-y", "--yes", is_flag=True, help="On a terminal: do not ask before a change."),
    )  # fmt: skip
    return grouped(command, "Change", options)


def part_of_lock(command: Command) -> Command:
    """Which part of a lock is meant."""
    options = (
        option("--environment", "file_environment", metavar="NAME", help="Environment of the lock."),
        option("--extra", "file_extras", multiple=True, metavar="NAME", help="Extras of a pylock.toml or"
                     " uv.lock."),
        option("--group", "file_groups", multiple=True, metavar="NAME", help="Groups of a pylock.toml or"
                     " uv.lock."),
    )  # fmt: skip
    return grouped(command, "Requirements", options)


def archives(command: Command) -> Command:
    """Where archives may be beside the places that a lock or a snapshot names."""
    directories = option(
        "--from", "from", multiple=True, metavar="DIR", type="path", help="Take archives from DIR if it has them,"
        " by name and hash."
    )  # fmt: skip
    return grouped(command, "Network and builds", (directories,))


def lock(command: Command) -> Command:
    """How long to wait for the lock of an environment."""
    timeout = option("--lock-timeout", type=float, metavar="SECONDS", help="How long to wait for another process.")
    return grouped(command, "Change", (timeout,))


def _if_given(value: int) -> int | None:
    """The value of a counted flag; `None` where it is absent, so that a variable counts."""
    return value or None


def output(command: Command) -> Command:
    """How results are printed."""
    options = (
        option("--json", is_flag=True, help="Print one JSON document (see `bridge schema COMMAND`)."),
        option("-q", "--quiet", is_flag=True, help="Print only errors and warnings."),
        option("-v", "--verbose", count=True, callback=_if_given, help="Print more details; -vv also each request."),
        option("--no-progress", is_flag=True, help="Do not show progress."),
        option("--color", metavar="auto|always|never", help="Colours (default: auto)."),
    )
    return grouped(command, "Output", options)


def requirements(command: Command) -> Command:
    """Requirements as arguments and from files; the command takes them as `words`."""

    @functools.wraps(command)
    def with_words(
        requirements: Sequence[str],
        files: Sequence[str],
        file_extras: Sequence[str],
        file_groups: Sequence[str],
        editables: Sequence[str],
        file_environment: str | None,
        ignore_missing_paths: bool,
        **options: object,
    ) -> object:
        words = Words(
            requirements=requirements,
            files=files,
            extras=file_extras,
            groups=file_groups,
            editables=editables,
            environment=file_environment,
            ignores_missing_paths=ignore_missing_paths,
        )
        return command(words=words, **options)

    options = (
        argument("requirements", nargs=-1, metavar="REQ…"),
        option("-r", "--requirements-file", "--file", "files", multiple=True, metavar="FILE", type="path",
                     help="requirements.txt, environment.yml, pyproject.toml, pixi.toml, a lock or a list of conda's."),
        option("-e", "--editable", "editables", multiple=True, metavar="DIR_OR_URL", help="A project's folder,"
                     " installed as a link to its sources (PEP 660)."),
        option("--extra", "file_extras", multiple=True, metavar="NAME", help="Extras of a pyproject.toml."),
        option("--group", "file_groups", multiple=True, metavar="NAME", help="Groups of a pyproject.toml."),
        option("--environment", "file_environment", metavar="NAME", help="Environment of a pixi manifest"
                     " (default: default)."),
        option("--ignore-missing-paths", is_flag=True, help="Take NAME @ file:///… by its name if the path is"
                     " gone, as in a `pip freeze` of another machine."),
    )  # fmt: skip
    return grouped(cast("Command", with_words), "Requirements", options)
