"""The options of a requirements.txt, and what bridge makes of each (pip 26, "Requirements File Format")."""

from __future__ import annotations

import optparse
import shlex
from pathlib import Path
from typing import NoReturn

from bridge.requirements.files.constructs import Construct, Section, honoured, ignored, refused
from bridge.requirements.files.values import wrong

__all__ = ["OPTIONS", "OptionParser", "split_options"]

_WHEEL = "build a wheel with these settings (pip wheel), and name that"
_GONE = "pip itself has no such option any more: remove it"

OPTIONS = Section(
    name="requirements.txt options",
    keys={
        "--requirement": honoured("a further file, from the folder of this one; not from the network"),
        "--constraint": honoured("what must hold if a project is installed at all"),
        "--editable": honoured("a folder or a repository, installed for editing"),
        "--index-url": honoured("the package index, instead of the configured ones"),
        "--extra-index-url": honoured("further indexes"),
        "--find-links": honoured("a folder or a page of files"),
        "--no-index": honoured("no index is asked"),
        "--trusted-host": honoured("no TLS verification for this host"),
        "--only-binary": honoured("wheels only"),
        "--no-binary": honoured("source distributions only"),
        "--pre": honoured("pre-releases compete"),
        "--require-hashes": honoured("every requirement needs a hash"),
        "--hash": honoured("the sha256 that a file must have; others are accepted beside a sha256"),
        "--prefer-binary": ignored("bridge takes the newest version that fits, and its wheel before its sdist"),
        "--use-feature": ignored("it switches features of pip itself"),
        "--use-wheel": ignored("wheels are always used"),
        "--no-cache-dir": ignored("bridge keeps its own cache"),
        "--no-build-isolation": ignored("bridge builds each source distribution in isolation"),
        "--all-releases": honoured(
            "`:all:`, as `--pre`; refused for single projects: name a pre-release in the version"
        ),
        "--config-settings": refused(_WHEEL),
        "--global-option": refused(_WHEEL),
        "--build-option": refused(_WHEEL),
        "--install-option": refused(_WHEEL),
        "--no-deps": refused("bridge always installs what a package needs; remove the option"),
        "--only-final": refused("leave out --pre, or exclude the pre-releases in the version: x>=1,<2"),
        "--no-use-wheel": refused("write --no-binary :all:"),
        "--process-dependency-links": refused(_GONE),
        "--allow-external": refused(_GONE),
        "--allow-all-external": refused(_GONE),
        "--allow-unverified": refused(_GONE),
        "--allow-insecure": refused(_GONE),
    },
    unknown="refused",
)

_FLAGS = frozenset(
    [
        "no-index",
        "pre",
        "require-hashes",
        "prefer-binary",
        "use-wheel",
        "no-use-wheel",
        "no-cache-dir",
        "no-build-isolation",
        "no-deps",
        "process-dependency-links",
        "allow-all-external",
    ]
)
_SHORT = {
    "requirement": ("-r",),
    "constraint": ("-c",),
    "editable": ("-e",),
    "index-url": ("-i", "--pypi-url"),
    "find-links": ("-f",),
    "config-settings": ("-C", "--config-setting"),
}


class OptionParser(optparse.OptionParser):
    """The options of `OPTIONS` under pip's names and abbreviations; each value is a list, or `True` for a flag."""

    def __init__(self) -> None:
        super().__init__(add_help_option=False, usage=optparse.SUPPRESS_USAGE)
        for option in OPTIONS.keys:
            name = option.removeprefix("--")
            action = "store_true" if name in _FLAGS else "append"
            self.add_option(*_SHORT.get(name, ()), option, action=action, dest=name.replace("-", "_"))

    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)


def split_options(
    parser: OptionParser, options: str, path: Path, where: int | str, warnings: list[str]
) -> dict[str, list[str]]:
    """Parse options into name (`index-url`) -> values; a flag has no values. Warn of those without effect.

    Raises `UsageError` (`requirement-file`) for an option that is unknown or refused, and for text after an option.
    """
    try:
        known, rest = parser.parse_args(shlex.split(options))
    except ValueError as error:
        hint = "see pip's documentation, Requirements File Format"
        raise wrong(path, where, f"an option that cannot be read: {error}", hint=hint) from error
    if rest:
        raise wrong(path, where, f"{rest[0]!r} after an option, where none or its value was expected")
    given = {
        name.replace("_", "-"): value if isinstance(value, list) else [] for name, value in vars(known).items() if value
    }
    for name in given:
        construct: Construct = OPTIONS.keys[f"--{name}"]
        if construct.fate == "refused":
            raise wrong(path, where, f"bridge does not support --{name}", hint=construct.note)
        if construct.fate == "ignored":
            warnings.append(f"{path}: --{name} has no effect: {construct.note}")
    return {name: values for name, values in given.items() if OPTIONS.keys[f"--{name}"].fate == "honoured"}
