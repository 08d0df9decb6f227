"""The port to the operating system: the calls with which `bridge.fs` and `bridge.transaction` act on files.

`os` is Python's own module where its functions take directory descriptors (Linux, macOS): the port costs nothing
there. Elsewhere it is `WindowsCalls`, which has the same functions with the same meaning over Windows' own. Modules of
both wings import `os` from here.
"""

from __future__ import annotations

import errno
import os as _os
from typing import TYPE_CHECKING

__all__ = ["HAS_MODES", "RENAMES_IN_USE", "effective_user", "ioctl", "open_file_limit", "os", "try_lock"]

HAS_MODES = _os.name != "nt"
"""Whether files have POSIX permissions, so that a written mode can be read back."""

RENAMES_IN_USE = _os.name != "nt"
"""Whether a directory can be renamed while a file below it is open."""

_NO_LIMIT = 8192  # files; the default of Windows' C runtime

if TYPE_CHECKING or _os.open in _os.supports_dir_fd:
    import fcntl
    import os
    import resource

    ioctl = fcntl.ioctl

    def effective_user() -> int:
        """The account of this process, as `st_uid` has it: 0 for everybody on Windows."""
        return os.geteuid()

    def open_file_limit() -> int:
        """The number of files that this process may have open."""
        return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def try_lock(descriptor: int, *, is_shared: bool, waits: bool = False) -> bool:
        """Lock an open file until it is closed; `False` if a lock of another descriptor excludes this one.

        By `flock` or `LockFileEx`. Raises `OSError` where the file system has no locks.
        """
        kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind if waits else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

else:
    from bridge.fs.system.kernel import Win32, try_lock
    from bridge.fs.system.windows import WindowsCalls

    os = WindowsCalls(Win32())

    def ioctl(*_: object) -> int:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))

    def effective_user() -> int:
        return 0

    def open_file_limit() -> int:
        return _NO_LIMIT
