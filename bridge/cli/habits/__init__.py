"""What people type who know conda, mamba, pixi, pip or uv: other names of commands and options, and answers to them.

`same` has the options that mean what one of bridge's means, `answers` those that bridge does not have, `words` the
commands. Each is imported when something was typed that bridge does not declare.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["ALIASES", "answer_to_arguments", "answer_to_command", "answer_to_option", "answer_to_words", "translated"]

ALIASES = {
    "add": "install",
    "i": "install",
    "ls": "list",
    "rm": "remove",
    "uninstall": "remove",
    "up": "update",
    "upgrade": "update",
}
"""Other names of commands, which do the same."""


def answer_to_command(word: str, known: Collection[str]) -> str | None:
    """What does the thing that a word of another tool's names; `None` if nothing is known.

    :param known: the commands that there are.
    """
    from bridge.cli.habits.words import COMMANDS

    command, text = COMMANDS.get(word.lower(), ("", ""))
    if not text or (command and command not in known):
        return None
    return text


def answer_to_arguments(command: str, words: Collection[str]) -> str | None:
    """What takes the place of words after a command that does not take them."""
    from bridge.cli.habits.words import ARGUMENTS

    for known, those, text in ARGUMENTS:
        if known == command and (not those or not those.isdisjoint(words)):
            return text
    return None


def answer_to_words(tool: str, words: Sequence[str], known: Collection[str]) -> str:
    """What `pip WORD…`, `conda WORD…` or `uv WORD…` is here.

    :param words: what was typed after the tool.
    """
    from bridge.cli.habits.words import OF_PIP

    word = ALIASES.get(words[0], words[0])
    of_pip = OF_PIP.get(word) if tool == "pip" else None
    if (answer := of_pip or (None if word in known else answer_to_command(word, known))) is not None:
        return answer
    return f"bridge {' '.join(words)}"


def answer_to_option(command: str, option: str, known: Collection[str]) -> str | None:
    """What takes the place of another tool's option; `None` if nothing is known."""
    from bridge.cli.habits.answers import OF_SETTINGS, OPTIONS

    name = ALIASES.get(command, command)
    for commands, options, text in OPTIONS:
        words = text.split()
        is_known = words[0] != "bridge" or words[1] in known
        if option in options and (not commands or name in commands) and is_known:
            return text
    setting = OF_SETTINGS.get(option)
    if setting is None:
        return None
    variable = f"BRIDGE_{setting.upper().replace('-', '_')}"
    return f"{variable}=VALUE sets it for one run, `bridge config set {setting} VALUE` for all"


def translated(command: str, words: Sequence[str], declared: Collection[str]) -> list[str]:
    """The words of a command line, with options of other tools as bridge's that mean the same.

    :param declared: the options of the command, which stay as they are.
    """
    own = next((at for at, word in enumerate(words) if word == "--"), len(words))
    if all(word.partition("=")[0] in declared for word in words[:own] if word.startswith("-")):
        return list(words)
    from bridge.cli.habits.same import translate

    return [*translate(ALIASES.get(command, command), words[:own], declared), *words[own:]]
