"""`conda bridge …`: the commands of bridge, with conda's environment names and active environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from bridge.conda_plugin.child import call

__all__ = ["run", "with_channels", "with_prefixes"]

_WITHOUT_ENVIRONMENT = frozenset({"create", "resolve"})  # commands without an environment to take channels from


def run(words: Sequence[str]) -> int:
    """Run `bridge WORDS…` and return its exit status.

    `-n NAME` becomes the prefix that conda knows by that name. Without `-p` and `-n` the environment is conda's: the
    active one, else base. `create` and `resolve` without `-c` and `-r` ask the channels that conda is configured for.

    Raises conda's `EnvironmentNameNotFound`.
    """
    from conda.base.context import context
    from conda.models.channel import Channel

    def configured() -> list[str]:
        return [url for name in context.channels for url in Channel(name).base_urls if url]

    words = with_prefixes(words, _prefix_named)
    words = with_channels(words, configured, os.environ)
    return call(words, {"CONDA_PREFIX": context.target_prefix, **os.environ})


def with_prefixes(words: Sequence[str], prefix_of: Callable[[str, bool], str]) -> list[str]:
    """Replace `-n NAME`, `-nNAME`, `--name NAME` and `--name=NAME` by `-p PREFIX`.

    :param prefix_of: the prefix of a name; the flag is true for an environment to create.

    Words after `--`, and those of the command that `run` starts, are left alone.
    """
    made: list[str] = []
    is_new = tuple(words[:1]) == ("create",)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--" or (made[:1] == ["run"] and not word.startswith("-")):
            return [*made, word, *rest]
        if word in {"-n", "--name"} and rest:
            made += ["-p", prefix_of(rest.pop(0), is_new)]
        elif word.startswith("--name="):
            made += ["-p", prefix_of(word.partition("=")[2], is_new)]
        elif word.startswith("-n") and not word.startswith("--") and len(word) > 2:
            made += ["-p", prefix_of(word[2:], is_new)]
        elif word in {"-p", "--prefix"} and rest:
            made += [word, rest.pop(0)]
        else:
            made.append(word)
    return made


def with_channels(
    words: Sequence[str], configured: Callable[[], Sequence[str]], environ: Mapping[str, str]
) -> list[str]:
    """Add `-c` for each configured channel, unless the words, a file or `BRIDGE_CHANNEL` name channels."""
    if not words or words[0] not in _WITHOUT_ENVIRONMENT or environ.get("BRIDGE_CHANNEL"):
        return list(words)
    named = ("-c", "--channel", "-r", "--requirements-file", "-h", "--help")
    if any(word.startswith(named) and not word.startswith("--channel-priority") for word in words[1:]):
        return list(words)
    return [words[0], *(part for channel in configured() for part in ("-c", channel)), *words[1:]]


def _prefix_named(name: str, is_new: bool) -> str:
    from conda.base.context import context, locate_prefix_by_name
    from conda.exceptions import EnvironmentNameNotFound

    try:
        return str(locate_prefix_by_name(name))
    except EnvironmentNameNotFound:
        if not is_new or os.path.basename(name) != name:
            raise
        return os.path.join(context.envs_dirs[0], name)
