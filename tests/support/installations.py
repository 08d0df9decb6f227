"""A python installation of a few files, whose packing takes no time: its binary is a script."""

from __future__ import annotations

from pathlib import Path

from bridge.channels.host import Interpreter


def small_installation(folder: Path) -> Interpreter:
    """Write it below `folder/opt/python`. It has something of all that is packed, and of all that is not."""
    prefix = folder / "opt" / "python"
    stdlib = prefix / "lib" / "python3.12"
    files = {
        prefix / "bin" / "python3.12": b"#!/bin/sh\n",
        prefix / "bin" / "python3.12-config": f"#!/bin/sh\nprefix={prefix}\n".encode(),
        prefix / "lib" / "pkgconfig" / "python-3.12.pc": f"prefix={prefix}\n".encode(),
        prefix / "lib" / "pkgconfig" / "python-3.11.pc": b"another one's",
        prefix / "share" / "terminfo" / "x" / "xterm": b"\x1a\x01",
        prefix / "include" / "python3.12" / "Python.h": b"#pragma once\n",
        prefix / "include" / "python3.12" / "pyconfig.h": b"#error choose one\n",
        prefix / "include" / "some-linux-gnu" / "python3.12" / "pyconfig.h": b"#define SIZEOF_LONG 8\n",
        stdlib / "os.py": b"",
        stdlib / "site.py": b"",
        stdlib / "sitecustomize.py": b"1/0",
        stdlib / "EXTERNALLY-MANAGED": b"[externally-managed]\n",
        stdlib / "_sysconfigdata__linux_.py": b"build_time_vars = {'LIBDIR': '/install/lib',\n 'prefix': '/install'}\n",
        stdlib / "json" / "__init__.py": b"",
        stdlib / "json" / "__pycache__" / "__init__.cpython-312.pyc": b"",
        stdlib / "test" / "test_json.py": b"",
        stdlib / "ensurepip" / "__init__.py": b"",
        stdlib / "site-packages" / "pip" / "__init__.py": b"",
    }
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (prefix / "bin" / "python3.12").chmod(0o755)
    (stdlib / "_sysconfigdata__other_.py").symlink_to("_sysconfigdata__linux_.py")
    return Interpreter(
        version="3.12.4",
        minor=(3, 12),
        free_threaded=False,
        subdir="linux-64",
        prefix=prefix,
        binary=prefix / "bin" / "python3.12",
        stdlib=stdlib,
        include=prefix / "include" / "python3.12",
        pyconfig=prefix / "include" / "some-linux-gnu" / "python3.12" / "pyconfig.h",
        libraries=(),
        multiarch="some-linux-gnu",
        deployment_target="",
    )
