"""Options of conda, mamba, pixi, pip and uv that mean what an option of bridge means, or what bridge does anyway."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from converters.target import SUBDIRS

__all__ = ["EQUAL", "IDLE", "translate"]

_CHANGES = ("create", "install", "remove", "update")
_SOLVES = (*_CHANGES, "lock", "outdated", "resolve", "search")

# (commands, options, the words in their place). A value stays behind the last word; "" leaves only the value. An
# option with a space in it means only this value of it.
EQUAL: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (_CHANGES, ("--copy", "--copies", "--always-copy"), "--link-mode copy"),
    (_CHANGES, ("-d",), "--dry-run"),
    (_CHANGES, ("--compile-bytecode",), "--compile"),
    (_CHANGES, ("--no-compile-bytecode",), "--no-compile"),
    (_CHANGES, ("--no-input",), "--yes"),
    (_SOLVES, ("--subdir",), "--platform"),
    (_SOLVES, ("--strict-channel-priority",), "--channel-priority strict"),
    (_SOLVES, ("--use-local",), "-c local"),
    (_SOLVES, ("-i", "--default-index"), "--index-url"),
    (_SOLVES, ("--uploaded-prior-to",), "--exclude-newer"),
    (_SOLVES, ("--only-binary :all:",), "--no-build"),
    (_SOLVES, ("--prerelease allow",), "--pre"),
    (("create", "install", "lock", "resolve"), ("--requirement", "--requirements", "--manifest-path"), "-r"),
    (("lock",), ("-f",), "-r"),
    (("remove",), ("--requirement", "--requirements"), "-r"),
    (("export",), ("--without-hashes",), "--no-hashes"),
    (("lock",), ("-U", "--upgrade-all"), "--upgrade=*"),
    (("lock",), ("-P", "--upgrade-package", "--update"), "--upgrade"),
    (("lock",), ("--locked",), "--check"),
    (("lock",), ("--lockfile", "--output-file"), "-o"),
    (("lock",), ("--regenerate",), "--upgrade=*"),
    *((("lock",), (f"-p {subdir}",), f"--platform {subdir}") for subdir in SUBDIRS),
    (("create", "install", "lock", "resolve"), ("-E", "--extras"), "--extra"),
    (("set", "unset", "edit", "path"), ("--global", "-g"), "--user"),
    (("set", "unset", "edit", "path"), ("--local", "-l", "--workspace"), "--project"),
    (("export",), ("-f", "--file", "--output-file"), "-o"),
    (("list", "outdated"), ("--format json",), "--json"),
    (("search",), ("-f", "--full-name"), ""),
    (("sync",), ("--inexact",), "--keep"),
    (("sync",), ("-r", "-f", "--file"), ""),
    (("tree",), ("-d",), "--depth"),
    (("tree",), ("-r", "--reverse", "--rdeps"), "--invert"),
    (("tree",), ("--package", "--packages"), ""),
    (("activate", "deactivate", "shell"), ("-s",), "--shell"),
    (("completion",), ("-s", "--shell"), ""),
    ((), ("--progress-bar off", "--no-progress-bar", "--no-progress-bars"), "--no-progress"),
    ((), ("--no-color",), "--color never"),
)

# (commands, options that ask for what bridge does anyway, whether they have a value).
IDLE: tuple[tuple[tuple[str, ...], tuple[str, ...], bool], ...] = (
    (
        _CHANGES,
        ("--freeze-installed", "--no-update-deps", "--satisfied-skip-solve", "-S", "--update-specs",
         "--upgrade-strategy only-if-needed", "--no-shortcuts", "--mkdir", "--no-default-packages",
         "--no-warn-conflicts", "--no-warn-script-location", "--use-pep517", "--show-channel-urls", "--seed"),
        False,
    ),
    (_SOLVES, ("--solver", "--experimental", "--repodata-fn", "--root-user-action", "--exists-action"), True),
    (_SOLVES, ("--repodata-use-zst", "--prerelease if-necessary", "--prerelease if-necessary-or-explicit",
               "--prerelease disallow"), False),
    (("install", "update", "remove"), ("--no-deps-check",), False),
    (("lock",), ("--generate-hashes", "--universal", "--no-update", "--mamba", "--no-mamba", "--micromamba",
                 "--no-micromamba", "--check-input-hash", "--dev-dependencies", "--include-dev-dependencies",
                 "--strip-auth"), False),
    (("lock",), ("--conda",), True),
    (("list",), ("--show-channel-urls", "--local", "-l", "--format columns", "--include-editable"), False),
    (("list",), ("--full-path",), False),
    (("search",), ("--names-only", "--only-name", "-N"), False),
    (("sync",), ("--frozen", "--locked", "--exact"), False),
    (("info",), ("--all", "-a", "--system", "-s", "--extended"), False),
    ((), ("--disable-pip-version-check", "--no-python-version-warning", "--require-virtualenv", "--no-banner",
          "--progress-bar on", "--progress-bar auto"), False),
)  # fmt: skip


def translate(command: str, words: Sequence[str], declared: Collection[str]) -> Iterator[str]:
    """Yield the words in the place of those typed.

    :param command: its name, and no other name for it. `declared`: the options that stay as they are.
    """
    at = 0
    while at < len(words):
        option, equals, value = words[at].partition("=")
        at += 1
        if not option.startswith("-") or option in declared:
            yield words[at - 1]
            continue
        following = value if equals else words[at] if at < len(words) else ""
        if (place := _place(command, f"{option} {following}")) is not None:
            at += not equals
            yield from place.split()
        elif (place := _place(command, option)) is not None:
            *others, last = place.split() or [""]
            yield from others
            yield from (each for each in ([f"{last}={value}"] if equals and last else [last, value]) if each)
        elif (has_value := _idle(command, option, following)) is not None:
            at += has_value and not equals
        else:
            yield words[at - 1]


def _place(command: str, option: str) -> str | None:
    return next(
        (words for commands, options, words in EQUAL if option in options and (not commands or command in commands)),
        None,
    )


def _idle(command: str, option: str, value: str) -> bool | None:
    """Whether an option that changes nothing has a value; `None`: it is no such option."""
    for commands, options, has_value in IDLE:
        if not commands or command in commands:
            if f"{option} {value}" in options:
                return True
            if option in options:
                return has_value
    return None
