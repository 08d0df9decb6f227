"""`python -m tests.fuzz [READER…] [--seconds N] [--seed N] [--corpus DIR]`: mutate the input of readers, report faults.

With `atheris` (the extra `fuzz`) and `--atheris READER`, libFuzzer chooses the mutations by coverage.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.archives import ARCHIVES
from tests.fuzz.mutation import mutations
from tests.fuzz.texts import TEXTS
from tests.fuzz.values import Reader

READERS = {reader.name: reader for reader in (*ARCHIVES, *TEXTS)}
_SLOW = 2.0  # seconds for one input


def main() -> int:
    """Run; the status is 1 where a reader raised what it does not document, or took too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("reader", nargs="*", choices=[*READERS, []])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, help="where inputs that break a reader are kept")
    parser.add_argument("--atheris", action="store_true")
    asked = parser.parse_args()
    chosen = [READERS[name] for name in asked.reader or READERS]
    if asked.atheris:
        _guided(chosen[0], asked.seconds)
    faults = sum([_run(reader, asked.seconds, asked.seed, asked.corpus) for reader in chosen])
    return 1 if faults else 0


def _run(reader: Reader, seconds: float, seed: int, corpus: Path | None) -> int:
    started, count, accepted = time.monotonic(), 0, 0
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for data in mutations(reader.corpus(), seed):
            begun = time.monotonic()
            if begun - started > seconds:
                break
            count += 1
            try:
                accepted += reader.is_kept(data, Path(scratch))
                if time.monotonic() - begun > _SLOW:
                    found.setdefault("slow", data)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                place = traceback.extract_tb(error.__traceback__)[-1]
                key = f"{type(error).__name__} {place.filename.rpartition('/')[2]}:{place.lineno} {str(error)[:100]!r}"
                found.setdefault(key.split(" '", maxsplit=1)[0], data)
    print(f"{reader.name}: {count} inputs, {accepted} accepted, {len(found)} faults", flush=True)
    for number, (fault, data) in enumerate(found.items()):
        print(f"  {fault}: {data[:200]!r}", flush=True)
        if corpus is not None:
            corpus.mkdir(parents=True, exist_ok=True)
            (corpus / f"{reader.name}-{number}").write_bytes(data)
    return len(found)


def _guided(reader: Reader, seconds: float) -> None:
    """Let libFuzzer choose; it ends the process itself."""
    import atheris

    scratch = tempfile.mkdtemp()
    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as seeds:
        for number, data in enumerate(reader.corpus()):
            (Path(seeds) / str(number)).write_bytes(data)
        arguments = [sys.argv[0], f"-max_total_time={int(seconds)}", "-timeout=20", seeds]
        atheris.Setup(arguments, lambda data: reader.is_kept(bytes(data), Path(scratch)))
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
