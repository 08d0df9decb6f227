"""`python -m bridge` and the `bridge` command."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

__all__ = ["run"]


def run() -> None:
    """Run the command line and end the process.

    The process ends without finalising the interpreter: with rattler loaded, 31 of 120 runs aborted there. Everything
    is flushed and released before.
    """
    _prefer_utf8()
    _prefer_own_modules()
    # A short run creates many lasting values and few cycles; collecting garbage as often as usual costs 10 %.
    gc.set_threshold(500_000, 20, 20)
    try:
        if sys.argv[1:2] == ["audit"]:
            from bridge.audit.look.ahead import begin  # noqa: PLC0415 - PYTHONPATH must come last before

            begin(sys.argv[1:], os.environ)
        from bridge.cli.late import postpone  # noqa: PLC0415 - PYTHONPATH must come last before

        postpone()
        from bridge.cli.streams import prepare  # noqa: PLC0415

        prepare()
        if sys.argv[1:] == ["--version"]:
            os._exit(_version())
        import resource  # noqa: PLC0415 - the walk of an audit has started

        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            from bridge.channels import limits  # noqa: PLC0415 - most runs have no such limit

            limits.adapt()
        from bridge.cli import main  # noqa: PLC0415
        from bridge.cli.failure import finish  # noqa: PLC0415

        status = finish(main())
    except KeyboardInterrupt:
        status = 130  # Ctrl-C during imports, before any work.
    except (BrokenPipeError, SystemExit):  # rich raises SystemExit for a broken pipe.
        status = 141
    except (MemoryError, OSError) as error:
        status = _exhausted(error)
    except Exception as error:  # noqa: BLE001 - `main` reports its own: this one comes from an import
        status = _unsound(error)
    except BaseException:
        sys.stdout.flush()
        raise
    os._exit(status)


def _version() -> int:
    """Print the version, as click does; click itself takes half of the time that this command has."""
    from bridge import __version__  # noqa: PLC0415 - as above
    from bridge.cli.streams import flush  # noqa: PLC0415
    from bridge.errors import FaultError  # noqa: PLC0415

    sys.stdout.write(f"bridge, version {__version__}\n")
    try:
        flush()
    except FaultError as error:
        from bridge.cli.failure import report  # noqa: PLC0415

        return report(error, is_json=False)
    return 0


def _unsound(error: Exception) -> int:
    """Report that bridge's own modules, or those it depends on, cannot be imported."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace is not None else ""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    with suppress(OSError):  # There is nowhere else to report.
        if os.environ.get("BRIDGE_DEBUG") == "1":
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.write(
            f"error[unsound-bridge]: bridge cannot be loaded: {text}\n  {place}\n"
            f"hint: install it again, in an environment of its own; this one is {sys.prefix}\n"
        )
        sys.stderr.flush()
    return 11


def _exhausted(error: MemoryError | OSError) -> int:
    """Report that a resource limit prevents the start; uses only modules that are loaded."""
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "no memory is left"
    with suppress(OSError):  # There is nowhere else to report.
        sys.stderr.write(f"error[limits]: bridge cannot start: {reason}\nhint: raise the limits (ulimit -a)\n")
        sys.stderr.flush()
    return 7


def _prefer_utf8() -> None:
    """Start again in Python's UTF-8 mode if the locale has another encoding, as paths and metadata of packages are
    UTF-8. The standard streams keep theirs (`streams.prepare`).
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        streams = f"bridge_streams={sys.stdout.encoding}" if sys.stdout is not None else "utf8"
        os.execv(sys.executable, [sys.executable, "-X", "utf8", "-X", streams, *sys.orig_argv[1:]])


def _prefer_own_modules() -> None:
    """Move PYTHONPATH to the end of `sys.path`: an audit must report a `json.py` there, not import it."""
    directories = [os.path.abspath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path.sort(key=lambda path: path in directories)


if __name__ == "__main__":
    run()
