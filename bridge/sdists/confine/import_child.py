"""The script with which an environment's python imports modules, in copies of this process.

A copy imports several modules, one after the other, so that what many packages require is imported a few times and not
once for each. It ends at the first that fails, which is repeated in a copy of its own: a failure that is reported is
that of a new python, and the modules after it go to another copy.

Runs on any python of an environment (3.7 and newer) and imports nothing of bridge. The arguments are a JSON file with
the names of modules, the file to write, the seconds for one module, and the number of copies at a time. The answer is
an object: module → `{}`, or `type`, `text` and `missing` of the error, or the `signal` that ended the copy.
"""

import importlib
import json
import os
import signal
import sys

_LONGEST = 600  # characters of a message
_MOST = 64  # modules of one copy
_DONE = b"\n"  # what a copy writes for each module that it has imported


def attempt(names: "list[str]", seconds: int, writing: int) -> None:
    """Import modules until one fails, and write what happened. Never returns."""
    answer: dict[str, object] = {}
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        for name in names:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            importlib.import_module(name)
            os.write(writing, _DONE)
    except BaseException as error:  # noqa: BLE001 - a module may raise anything
        answer = {"type": type(error).__name__, "text": str(error)[:_LONGEST], "missing": absent(error)}
    os.write(writing, json.dumps(answer).encode("utf-8", "replace"))
    os._exit(0)


def absent(error: BaseException) -> object:
    """The module whose absence led to an error: packages turn it into an error of their own."""
    cause: object = error
    for _ in range(20):
        if isinstance(cause, ModuleNotFoundError):
            return cause.name
        cause = getattr(cause, "__cause__", None) or getattr(cause, "__context__", None)
    return None


def start(names: "list[str]", seconds: int) -> "tuple[int, int]":
    """Start one copy; return its process and the pipe of its answer."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        attempt(names, seconds, writing)
    os.close(writing)
    return process, reading


def finished(reading: int, status: int) -> "tuple[int, object]":
    """How many modules a copy that has ended imported, and the answer for the next."""
    with os.fdopen(reading, "rb") as stream:
        written = stream.read(1 << 16)
    imported = len(written) - len(written.lstrip(_DONE))
    if os.WIFSIGNALED(status):
        return imported, {"signal": os.WTERMSIG(status)}
    try:
        answer: object = json.loads(written[imported:].decode("utf-8"))
    except ValueError:
        answer = {"type": "SystemExit", "text": "it ended the python process", "missing": None}
    return imported, answer


def batches(names: "list[str]", copies: int) -> "list[list[str]]":
    """Share the modules among the copies, in order: those of one package have much in common."""
    size = max(1, min(_MOST, -(-len(names) // copies)))
    return [names[place : place + size] for place in range(0, len(names), size)]


def main() -> None:
    """Import every module that is named."""
    asked, answered, seconds, copies = sys.argv[1:5]
    with open(asked, encoding="utf-8") as stream:
        waiting = batches(json.load(stream), int(copies))[::-1]
    running: dict[int, tuple[list[str], int]] = {}
    answers: dict[str, object] = {}
    while waiting or running:
        while waiting and len(running) < int(copies):
            names = waiting.pop()
            process, reading = start(names, int(seconds))
            running[process] = (names, reading)
        process, status = os.wait()
        if process not in running:
            continue
        names, reading = running.pop(process)
        imported, answer = finished(reading, status)
        answers.update((name, {}) for name in names[:imported])
        rest = names[imported:]
        if len(names) == 1 and rest:
            answers[rest[0]] = answer
        elif rest:
            waiting += [[rest[0]], rest[1:]] if rest[1:] else [[rest[0]]]
    with open(answered, "w", encoding="utf-8") as stream:
        json.dump(answers, stream)


if __name__ == "__main__":
    sys.path.pop(0)  # the directory of this file, or the working directory
    main()
