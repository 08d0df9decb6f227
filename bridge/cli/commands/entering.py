"""The commands that run something in an environment: `run`, `shell`, `activate`, `deactivate`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.cli.shells import EXTENSIONS, lines, shell_of
from bridge.config import Settings
from bridge.config.activation import Activation, activated, deactivated
from bridge.config.environments import environment_name, known_environments
from bridge.config.programs import find_program
from bridge.errors import BridgeError, UsageError
from bridge.paths import META, quoted
from bridge.prefix import no_environment
from bridge.prefix.platform import platform_of

__all__ = ["Entering", "captured", "entering", "leaving", "replace_process", "shell_command"]

_ACTIVATE = "{python} -m bridge activate -p {prefix} --shell {shell}"


class CommandNotFoundError(BridgeError):
    """There is no such command; the exit code is a shell's."""

    exit_code = 127


class CommandUnusableError(BridgeError):
    """A command cannot be started; the exit code is a shell's."""

    exit_code = 126


@dataclass(frozen=True, slots=True, kw_only=True)
class Entering:
    """A change of a shell's environment, and the lines that do it."""

    shell: str
    change: Activation

    @property
    def lines(self) -> str:
        return lines(self.change, self.shell)

    def to_json(self) -> dict[str, object]:
        """The document of `activate`, `deactivate` and `shell` (`bridge/schemas/activate.json`)."""
        variables = self.change.variables
        return {
            "prefix": None if self.change.prefix is None else str(self.change.prefix),
            "shell": self.shell,
            "variables": {name: value for name, value in variables.items() if value is not None},
            "unset": [name for name, value in variables.items() if value is None],
            "scripts_before": [str(script) for script in self.change.before],
            "scripts_after": [str(script) for script in self.change.after],
            "lines": self.lines,
        }


def entering(prefix: Path, settings: Settings, shell: str | None, environ: Mapping[str, str]) -> Entering:
    """What activates an environment.

    Raises `UsageError` (`not-an-environment`; `environment-platform`: made for another system) and as `activated`.
    """
    _check(prefix)
    shell = shell or shell_of(environ)
    name = environment_name(prefix, settings.conda, environ) or str(prefix)
    change = activated(prefix, name, environ, extension=EXTENSIONS.get(shell, "sh"))
    return Entering(shell=shell, change=change)


def leaving(settings: Settings, shell: str | None, environ: Mapping[str, str]) -> Entering:
    """What deactivates the active environment. Raises `UsageError` (`nothing-active`) and as `deactivated`."""
    shell = shell or shell_of(environ)
    names = {each.prefix: each.name for each in known_environments(settings.conda, environ)}
    change = deactivated(names, environ, extension=EXTENSIONS.get(shell, "sh"))
    if change is None:
        raise UsageError("nothing-active", "no environment is active in this shell")
    return Entering(shell=shell, change=change)


def _check(prefix: Path) -> None:
    if not (prefix / META).is_dir() and not (prefix / "pyvenv.cfg").is_file():
        raise no_environment(prefix, "it contains no conda-meta")
    platform = platform_of(prefix)
    system = {"win32": "win", "darwin": "osx"}.get(sys.platform, "linux")
    if platform is not None and not platform.startswith(f"{system}-"):
        raise UsageError(
            "environment-platform",
            f"{prefix} is for {platform}; none of its programs runs on this machine",
            hint="copy it to such a machine; `bridge audit --fix` there writes its new path into its files",
        )


def _command(
    change: Activation, command: Sequence[str], environ: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The arguments and the environment of a process that runs a command in an activated environment.

    The scripts of `activate.d` need a shell: it runs them, their output going to standard error, and becomes the
    command. Raises `CommandNotFoundError` and `CommandUnusableError`.
    """
    applied = change.applied(environ)
    scripts = (*change.before, *change.after)
    program = find_program(command[0], applied["PATH"])
    if program is None and (not scripts or " " in command[0]):
        raise _not_found(command[0], change)
    if not scripts:
        return [program or command[0], *command[1:]], applied
    shell = find_program("bash", environ.get("PATH", "")) or "/bin/sh"
    # Scripts that leave the old environment see its variables as they were before.
    unset = [f"unset {name}" for name, value in change.variables.items() if value is None]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in change.variables.items() if value is not None]
    text = "\n".join(
        [
            *(f". {shlex.quote(str(script))} >&2" for script in change.before),
            *unset,
            *exports,
            *(f". {shlex.quote(str(script))} >&2" for script in change.after),
            'exec "$@"',
        ]
    )
    return [shell, "-c", text, command[0], *command], dict(environ)


def _not_found(name: str, change: Activation) -> BridgeError:
    if os.path.exists(name) and "/" in name:
        return CommandUnusableError("command-not-executable", f"{name} is not a program that can be run")
    if name.endswith(".py") and os.path.isfile(name):
        return CommandNotFoundError(
            "command-not-found",
            f"{name} is a python script, not a command",
            hint=f"bridge run -p {quoted(change.prefix)} python {quoted(name)}",
        )
    if " " in name:
        hint = f"write the command and its arguments as separate words: bridge run -p {quoted(change.prefix)} {name}"
    else:
        hint = f"bridge install -p {quoted(change.prefix)} PACKAGE adds the package that has it"
    return CommandNotFoundError(
        "command-not-found",
        f"there is no command {name!r} in {change.prefix} or on PATH",
        hint=hint,
    )


def replace_process(change: Activation, command: Sequence[str], environ: Mapping[str, str], cwd: str | None) -> int:
    """Run a command in the place of this process: its exit status, signals and streams are the command's own.

    Returns its status only where a process cannot be replaced (Windows). Raises as `_command`.
    """
    words, variables = _command(change, command, environ)
    _enter(cwd)
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        return subprocess.call(words, env=variables)
    try:
        os.execve(words[0], words, variables)
    except OSError as error:
        raise _unusable(words[0], error) from error


def captured(
    change: Activation, command: Sequence[str], environ: Mapping[str, str], cwd: str | None
) -> dict[str, object]:
    """Run a command and return its document (`bridge/schemas/run.json`). Raises as `replace_process`."""
    words, variables = _command(change, command, environ)
    _enter(cwd)
    try:
        done = subprocess.run(words, env=variables, capture_output=True, check=False)
    except OSError as error:
        raise _unusable(words[0], error) from error
    return {
        "prefix": str(change.prefix),
        "command": list(command),
        "status": done.returncode if done.returncode >= 0 else 128 - done.returncode,
        "stdout": done.stdout.decode("utf-8", "replace"),
        "stderr": done.stderr.decode("utf-8", "replace"),
    }


def _unusable(program: str, error: OSError) -> BridgeError:
    return CommandUnusableError("command-not-executable", f"{program} cannot be run: {error.strerror}")


def _enter(cwd: str | None) -> None:
    if cwd is None:
        return
    try:
        os.chdir(cwd)
    except OSError as error:
        raise UsageError("no-directory", f"{cwd} cannot be entered: {error.strerror}") from error


def shell_command(prefix: Path, shell: str, *, is_interactive: bool) -> tuple[list[str], bool]:
    """The command for a shell in an environment, and whether the shell activates it itself, after its start-up files.

    Start-up files often set PATH, or activate conda's base; so where a shell takes a command for after them, this is
    the activation. Other shells inherit the activated environment.
    """
    program = {"powershell": "pwsh"}.get(shell, shell)
    activate = _ACTIVATE.format(python=shlex.quote(sys.executable), prefix=shlex.quote(str(prefix)), shell=shell)
    if not is_interactive:
        return [program], False
    if shell == "bash":
        text = f'[ -f ~/.bashrc ] && . ~/.bashrc\neval "$({activate})"\n'
        read, write = os.pipe()
        with os.fdopen(write, "wb") as stream:
            stream.write(text.encode())
        os.set_inheritable(read, True)
        return [program, "--rcfile", f"/dev/fd/{read}", "-i"], True
    if shell == "fish":
        return [program, "--init-command", f"{activate} | source"], True
    return [program, "-i"] if shell != "powershell" else [program, "-NoExit"], False
