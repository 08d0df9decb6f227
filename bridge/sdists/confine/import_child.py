"""The script with which an environment's python imports modules, each in a copy of this process.

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


def attempt(name: str, seconds: int, writing: int) -> None:
    """Import one module, and write what happened. Never returns."""
    answer: dict[str, object] = {}
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        signal.alarm(seconds)
        importlib.import_module(name)
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


def start(name: str, seconds: int) -> "tuple[int, int]":
    """Start one copy; return its process and the pipe of its answer."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        attempt(name, seconds, writing)
    os.close(writing)
    return process, reading


def finished(reading: int, status: int) -> object:
    """The answer of a copy that has ended."""
    with os.fdopen(reading, "rb") as stream:
        written = stream.read(1 << 16)
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    try:
        answer: object = json.loads(written.decode("utf-8"))
    except ValueError:
        answer = {"type": "SystemExit", "text": "it ended python", "missing": None}
    return answer


def main() -> None:
    """Import every module that is named."""
    asked, answered, seconds, copies = sys.argv[1:5]
    with open(asked, encoding="utf-8") as stream:
        waiting = json.load(stream)[::-1]
    running: dict[int, tuple[str, int]] = {}
    answers: dict[str, object] = {}
    while waiting or running:
        while waiting and len(running) < int(copies):
            name = waiting.pop()
            process, reading = start(name, int(seconds))
            running[process] = (name, reading)
        process, status = os.wait()
        if process in running:
            name, reading = running.pop(process)
            answers[name] = finished(reading, status)
    with open(answered, "w", encoding="utf-8") as stream:
        json.dump(answers, stream)


if __name__ == "__main__":
    sys.path.pop(0)  # the directory of this file, or the working directory
    main()
