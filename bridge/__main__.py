"""`python -m bridge`, and the `bridge` command."""

from __future__ import annotations

import gc
import os
import resource
import sys
from contextlib import suppress

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
        from bridge.cli.streams import flush, prepare  # noqa: PLC0415 - PYTHONPATH must come last before

        prepare()
        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            from bridge.channels import limits  # noqa: PLC0415 - most runs have no such limit

            limits.adapt()
        # A broken installation should fail here, with a traceback.
        from bridge.cli import main  # noqa: PLC0415
        from bridge.cli.failure import finish  # noqa: PLC0415

        status = finish(main())
    except KeyboardInterrupt:
        status = 130  # Ctrl-C while modules were imported: nothing was begun
    except (BrokenPipeError, SystemExit):  # the second is how rich says it
        status = 141  # the reader of the results went away
    except (MemoryError, OSError) as error:
        status = _exhausted(error)
    except BaseException:
        flush()
        raise
    os._exit(status)


def _exhausted(error: MemoryError | OSError) -> int:
    """Tell that a limit of the process left no room for the program itself; only what is imported already is used."""
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "no memory is left"
    with suppress(OSError):  # A failing write leaves nobody to tell.
        sys.stderr.write(f"error[limits]: bridge cannot start: {reason}\nhint: raise the limits (ulimit -a)\n")
        sys.stderr.flush()
    return 7


def _prefer_own_modules() -> None:
    """Let what PYTHONPATH names come last: a `json.py` there, which an audit is to tell of, would be imported here."""
    named = [os.path.abspath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path.sort(key=lambda folder: folder in named)


if __name__ == "__main__":
    run()
