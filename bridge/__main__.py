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


if __name__ == "__main__":
    run()
