"""The first lines of scripts, for interpreter paths that a kernel can and cannot read. Pure.

A kernel ends the path at a blank, and Linux reads 127 bytes of the line. For other paths, conda and rattler write
`/usr/bin/env NAME`, and all installers start python through `/bin/sh`, in lines that python reads as a string.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator

from converters.deferred import dataclass, regex

__all__ = [
    "Indirect", "Launcher", "by_shell", "for_python", "launcher", "lines_before", "moved", "replaced", "split", "unfit",
]  # fmt: skip

_LONGEST = 127  # bytes of the line that every Linux kernel reads
_LONGEST_PROGRAM = 24  # bytes of an interpreter's name with its options, as in `python3.14t -sE`
_LINE = regex(rb"(#! *(/(?:\\ |[^ \n\r\t])*)(.*))\Z")
_PYTHON = regex(rb"python(?:\d+(?:\.\d+)?)?\Z")
_ENV = regex(rb"#!/usr/bin/env (\S+)(.*)\Z")
_SCRIPT = regex(rb"#!([^\0\r\n]{1,1024})\r?\nPK\x03\x04")
_EXEC = regex(rb"#!/bin/sh\n('''exec' [^\n]+)")
_END = b"\n' '''"
_NO_BLANK = b"/\1prefix"  # for a prefix with a blank in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Indirect:
    """The start of a script through `/bin/sh`; `end` is the offset after these lines."""

    interpreter: bytes
    options: bytes
    is_of_pip: bool
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """A command of a wheel on Windows: a program, the path of the python that it starts, and the script in a zip."""

    program: bytes
    interpreter: bytes
    script: bytes

    def naming(self, interpreter: bytes) -> bytes:
        """The launcher for another python. Readers of a zip find its start, so that the length may change."""
        return b"".join((self.program, b"#!", interpreter, self.script))


def launcher(data: bytes) -> Launcher | None:
    """The parts of a launcher as distlib, pip and `installer` make it; `None` if `data` is another program."""
    match = _SCRIPT.search(data) if data.startswith(b"MZ") else None
    if match is None:
        return None
    return Launcher(program=data[: match.start()], interpreter=match[1], script=data[match.end(1) :])


def split(data: bytes) -> tuple[bytes, bytes]:
    """The first line of a script without its line end, and the rest; `b""` and all of it if it is no script."""
    if not data.startswith(b"#!"):
        return b"", data
    end = data.find(b"\n")
    return (data, b"") if end < 0 else (data[:end], data[end:])


def by_shell(data: bytes) -> Indirect | None:
    """The start of a script through `/bin/sh`; `None` if it has none.

    conda and rattler write `'''exec' "PATH" "$0" "$@" #'''` in one line; pip, uv and `installer` quote the path for
    the shell, and end the string on the next line.
    """
    match = _EXEC.match(data)
    if match is None:
        return None
    is_of_pip = data.startswith(_END, match.end())
    try:
        words = shlex.split(os.fsdecode(match[1]), comments=True)
    except ValueError:
        return None
    if len(words) < 4 or words[0] != "exec" or words[-2:] != ["$0", "$@"]:
        return None
    return Indirect(
        interpreter=os.fsencode(words[1]),
        options=os.fsencode("".join(f" {word}" for word in words[2:-2])),
        is_of_pip=is_of_pip,
        end=match.end() + (len(_END) if is_of_pip else 0),
    )


def for_python(interpreter: str) -> bytes:
    """The first line (or lines) of a python script as pip and `installer` write them, without the last line feed."""
    plain = b"#!" + os.fsencode(interpreter)
    if not re.search(rb"[ \t]", plain) and len(plain) + 1 <= _LONGEST:
        return plain
    return b"#!/bin/sh\n'''exec' " + os.fsencode(shlex.quote(interpreter)) + b' "$0" "$@"' + _END


def replaced(line: bytes, old: bytes, new: bytes) -> bytes:
    """The first line of a conda package's script with `old` replaced by `new`, as rattler writes it."""
    if old not in line:
        return line
    changed = line.replace(old, new)
    if b" " in new:
        return _indirect(line).replace(old, new)
    return changed if len(changed) <= _LONGEST else _indirect(changed)


def unfit(prefix: str, *, is_of_conda: bool) -> str | None:
    """The part of a prefix's path that breaks the first lines of scripts; `None` if every script starts.

    Measured with rattler 0.28: it writes a slash for a backslash into the scripts of entry points. It writes the path
    in double quotes into a line for `/bin/sh`, without escaping what a shell expands there. That line also starts a
    python string, which three single quotes end, and in which a backslash begins an escape.

    :param is_of_conda: conda packages are linked there; else only wheels, whose lines bridge writes.
    """
    longest = len("#!") + len(os.fsencode(prefix)) + len("/bin/") + _LONGEST_PROGRAM
    is_indirect = re.search(r"[ \t]", prefix) is not None or longest > _LONGEST
    breaking = ('"', "$", "`", "'''") if is_of_conda and is_indirect else ()
    backslash = ("\\",) if is_of_conda or is_indirect else ()
    return next((each for each in (*backslash, *breaking) if each in prefix), None)


def moved(data: bytes, old: bytes, new: bytes, *, is_of_wheel: bool) -> tuple[bytes, bytes]:
    """The first lines of a script with `old` replaced by `new`, in their installer's form, and the unchanged rest."""
    indirect = by_shell(data)
    if indirect is None:
        head, rest = split(data)
        program = head[len(b"#!") :]
        if is_of_wheel and _PYTHON.match(program.rpartition(b"/")[2]):
            return for_python(os.fsdecode(program.replace(old, new))), rest
        return replaced(head, old, new), rest
    rest = data[indirect.end :]
    if indirect.is_of_pip:
        return for_python(os.fsdecode(indirect.interpreter.replace(old, new))), rest
    line = b"#!" + indirect.interpreter.replace(old, _NO_BLANK) + indirect.options
    return replaced(line, _NO_BLANK, new), rest


def lines_before(data: bytes, old: bytes, new: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The possible first lines with the placeholder `old` from which those of `data` were made, and the rest."""
    indirect = by_shell(data)
    if indirect is not None:
        yield b"#!" + indirect.interpreter.replace(new, old) + indirect.options, data[indirect.end :]
    head, rest = split(data)
    if (match := _ENV.match(head)) is not None:
        yield b"#!" + old + b"/bin/" + match[1] + match[2], rest
        yield head, rest


def _indirect(line: bytes) -> bytes:
    match = _LINE.match(line)
    if match is None:
        return line
    _, path, options = match.groups()
    name = path.rpartition(b"/")[2]
    if _PYTHON.match(name):
        return b"#!/bin/sh\n'''exec' \"" + path + b'"' + options + b' "$0" "$@" #\'\'\''
    return b"#!/usr/bin/env " + name + options
