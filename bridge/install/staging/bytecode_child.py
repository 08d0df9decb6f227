"""The script with which the environment's interpreter compiles modules: source files in, bytecode out.

Runs on any python of an environment (3.7 and newer); imports nothing of bridge or site-packages, writes no file, and
runs no code of the modules.

Each line of standard input is a JSON array: the path to read, the path that tracebacks name, and the source's mtime in
seconds since the epoch (`null`: the file's; a text: check by hash, not by time). Standard output has blocks of a length
(8 bytes, big-endian) and as many bytes: first the cache tag (`cpython-312`), then one answer per line, in order: a
`.pyc` (PEP 552), or nothing if the source does not compile.
"""

import importlib.util
import json
import marshal
import os
import struct
import sys

_BY_HASH = 0b11  # checked against the source's hash at each import


def compiled(source: str, named: str, time: object) -> bytes:
    """Return the `.pyc` of a source file; empty if it does not compile."""
    try:
        with open(source, "rb") as stream:
            data = stream.read()
            status = os.fstat(stream.fileno())
        code = marshal.dumps(compile(data, named, "exec", dont_inherit=True))
        if isinstance(time, str):
            return importlib.util.MAGIC_NUMBER + struct.pack("<I", _BY_HASH) + importlib.util.source_hash(data) + code
        seconds = int(time) if isinstance(time, float) else int(status.st_mtime)
        stamp = struct.pack("<III", 0, seconds & 0xFFFFFFFF, len(data) & 0xFFFFFFFF)
    except Exception:  # noqa: BLE001 - as in pip, a source that does not compile (a template) is no error
        return b""
    return importlib.util.MAGIC_NUMBER + stamp + code


def answer(data: bytes) -> None:
    """Write one block."""
    sys.stdout.buffer.write(struct.pack(">Q", len(data)) + data)
    sys.stdout.buffer.flush()


def main() -> None:
    """Answer until standard input ends."""
    answer((sys.implementation.cache_tag or "").encode())
    for line in sys.stdin.buffer:
        answer(compiled(*json.loads(line.decode("utf-8", "surrogateescape"))))


if __name__ == "__main__":
    main()
