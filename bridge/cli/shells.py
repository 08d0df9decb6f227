"""The lines by which a shell enters or leaves an environment. Pure.

rattler's activation is not used for them: it writes values in double quotes, where a shell expands `$` and backquotes
(docs/decisions).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.config.activation import Activation

__all__ = ["EXTENSIONS", "SHELLS", "failing", "lines", "shell_of"]

_POSIX = ("bash", "zsh", "sh", "dash", "ksh", "ash")
SHELLS = (*_POSIX[:3], "fish", "powershell", "xonsh")
"""The shells that `--shell` names."""

EXTENSIONS = {"fish": "fish", "powershell": "ps1"}
"""Shell -> the extension of its scripts; `sh` for the others."""

_PROMPT = 'if [ -n "${PS1-}" ]; then PS1=%s"${PS1#"${CONDA_PROMPT_MODIFIER-}"}"; fi'
# PowerShell ends a quoted text at each of these.
_POWERSHELL_QUOTES = "'\u2018\u2019\u201a\u201b"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Syntax:
    set: Callable[[str, str], str]
    unset: Callable[[str], str]
    run: Callable[[str], str]


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_set(name: str, value: str) -> str:
    values = value.split(os.pathsep) if name == "PATH" else [value]
    return f"set -gx {name} {' '.join(map(_fish, values))}"


def _powershell(text: str) -> str:
    return "'" + "".join(each * 2 if each in _POWERSHELL_QUOTES else each for each in text) + "'"


_SYNTAX = {
    "fish": _Syntax(
        set=_fish_set, unset=lambda name: f"set -e {name}", run=lambda script: f"source {_fish(script)}"
    ),
    "powershell": _Syntax(
        set=lambda name, value: f"$Env:{name} = {_powershell(value)}",
        unset=lambda name: f"Remove-Item -ErrorAction SilentlyContinue Env:{name}",
        run=lambda script: f". {_powershell(script)}",
    ),
    "xonsh": _Syntax(
        set=lambda name, value: f"${name} = {value!a}",
        unset=lambda name: f"__xonsh__.env.pop({name!r}, None)",
        run=lambda script: f"source-bash --suppress-skip-message -n {script!a}",
    ),
}  # fmt: skip


def _sourced(script: str) -> str:
    """Source a script without `set -u`: scripts of packages read variables that may be unset."""
    words = f". {shlex.quote(script)}"
    return f"case $- in *u*) set +u; {words}; set -u;; *) {words};; esac"


_POSIX_SYNTAX = _Syntax(
    set=lambda name, value: f"export {name}={shlex.quote(value)}",
    unset=lambda name: f"unset {name}",
    run=_sourced,
)


def lines(change: Activation, shell: str) -> str:
    """The lines for a shell to evaluate: scripts, variables, the prompt, scripts."""
    syntax = _SYNTAX.get(shell, _POSIX_SYNTAX)
    commands = [syntax.run(str(script)) for script in change.before]
    if shell not in _SYNTAX:
        commands.append(_PROMPT % shlex.quote(change.prompt))
    for name, value in change.variables.items():
        commands.append(syntax.unset(name) if value is None else syntax.set(name, value))
    commands += [syntax.run(str(script)) for script in change.after]
    if shell not in _SYNTAX:
        commands.append("hash -r 2>/dev/null")  # The shell remembers where it found a command.
    return "\n".join(commands) + "\n"


def failing(shell: str) -> str:
    """A line that makes `eval` fail where there is nothing to evaluate: an empty text succeeds, also under `set -e`."""
    return "" if shell in {"powershell", "xonsh"} else "false\n"


def shell_of(environ: Mapping[str, str]) -> str:
    """The running shell: the parent process's name if that is a shell, else `$SHELL`, else bash."""
    names = []
    with suppress(OSError, ValueError):
        names.append(Path(f"/proc/{os.getppid()}/comm").read_text("utf-8").strip())
    names.append(environ.get("SHELL", "").rsplit("/", 1)[-1])
    known = {"pwsh": "powershell", **{each: each for each in (*SHELLS, *_POSIX)}}
    return next((known[name] for name in names if name in known), "bash")
