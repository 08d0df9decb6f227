"""What runs in the process of its own that builds a wheel: pypa/build, with nothing but a scratch folder to write to.

Run as a script, by its path, with one JSON argument; imports nothing of ours, for it has another `sys.path`. On Linux
5.13 and newer the kernel itself (Landlock) keeps this process, and all that it starts, from writing, creating, renaming
or removing anything outside the scratch folder, the target prefix first of all. Elsewhere the build merely does not
know where the prefix is.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import struct
import sys
from collections.abc import Sequence

__all__ = ["confine"]

# linux/landlock.h: the numbers of the calls are the same on every architecture but alpha.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES = 38
_WRITE_FILE = 1 << 1
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # to remove, and to make, whatever kind of thing
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts")
_SHARED_MEMORY = ("/dev/shm",)  # POSIX semaphores live there, which multiprocessing needs


def confine(writable: Sequence[str]) -> bool:
    """Keep this process, for good, from changing files anywhere but below `writable`; `False`: the kernel cannot.

    Modes, owners and times can still be changed: Landlock has no say in those.
    """
    if not sys.platform.startswith("linux"):
        return False
    kernel = ctypes.CDLL(None, use_errno=True)
    version = kernel.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return False
    handled = _CHANGES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=Q", handled)
    rules = kernel.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    for path in (*writable, *_SHARED_MEMORY):
        _allow(kernel, rules, path, handled)
    for path in _DEVICES:
        _allow(kernel, rules, path, handled & (_WRITE_FILE | _TRUNCATE))
    kernel.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    status = kernel.syscall(_RESTRICT_SELF, rules, 0)
    os.close(rules)
    return bool(status == 0)


def _allow(kernel: ctypes.CDLL, rules: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, then nothing below it either
    kernel.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    os.close(descriptor)


def _build(source: str, output: str) -> None:
    """Build a wheel of the tree at `source` into `output`. What it says goes to the standard streams."""
    from build import BuildBackendException, BuildException, FailedProcessError, ProjectBuilder  # noqa: PLC0415
    from build.env import DefaultIsolatedEnv  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        with DefaultIsolatedEnv() as environment:
            builder = ProjectBuilder.from_isolated_env(environment, source)
            environment.install(builder.build_system_requires)
            environment.install(builder.get_requires_for_build("wheel"))
            builder.build("wheel", output)
    except BuildBackendException as error:
        if _has_spoken(error.exception):
            raise SystemExit(1) from None
        logging.info(getattr(error.exception, "traceback", ""))  # noqa: LOG015 - of a backend that cannot be imported
        raise SystemExit(str(error)) from None
    except (BuildException, FailedProcessError) as error:
        raise SystemExit(str(error)) from None
    except Exception as error:
        if _has_spoken(error):
            raise SystemExit(1) from None
        raise


def _has_spoken(error: Exception) -> bool:
    """Whether a process that was started here, pip or the backend, ended badly: then it has said what is wrong."""
    return hasattr(error, "returncode")


def _main() -> None:
    request = json.loads(sys.argv[1])
    confine([request["work"]])
    sys.path[:] = [*sys.path, *(entry for entry in request["path"] if entry not in sys.path)]
    _build(request["source"], request["output"])


if __name__ == "__main__":
    _main()
