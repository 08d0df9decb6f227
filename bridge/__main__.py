"""`python -m bridge`, and the `bridge` command."""

from __future__ import annotations

import gc
import os
import sys

__all__ = ["run"]


def run() -> None:
    """Run the command line and end the process.

    An interpreter that used rattler may abort while it finalises, after all work is done (31 of 120 measured runs), so
    the process ends without finalising: everything was flushed and released before.
    """
    _prefer_own_modules()
    # A short run makes many lasting values and few cycles: looking for garbage as often as usual costs a tenth of it.
    gc.set_threshold(100_000, 20, 20)
    try:
        # A broken installation should fail here, with a traceback.
        from bridge.cli import main  # noqa: PLC0415

        status = main()
    except KeyboardInterrupt:
        status = 130  # Ctrl-C while modules were imported: nothing was begun
    except (BrokenPipeError, SystemExit):  # the second is how rich says it
        status = 141  # the reader went away while an error was told
    except BaseException:
        sys.stdout.flush()
        sys.stderr.flush()
        raise
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 7
    os._exit(status)


def _prefer_own_modules() -> None:
    """Let what PYTHONPATH names come last: a `json.py` there, which an audit is to tell of, would be imported here."""
    named = [os.path.abspath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path.sort(key=lambda folder: folder in named)


if __name__ == "__main__":
    run()
