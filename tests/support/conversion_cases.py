"""Wheels that converters get wrong, as data: what each is made of. Each stands for edge cases of real ones."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from tests.support.builders import make_wheel

__all__ = ["CASES", "build_case", "elf"]


def elf(machine: int = 62) -> bytes:
    """The beginning of a shared library for Linux; 62: x86_64."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, machine) + bytes(44)


_SCRIPT = b"#!python\nimport dtextra, dtplat\nprint('dtrun', dtextra.WHO, dtplat.WHO)\n"

# name of the case → name, version and the parts of `tests.support.builders.make_wheel`
CASES: Mapping[str, tuple[str, str, dict[str, object]]] = {
    "markers": (
        "mk1",
        "1.0",
        {
            "requires_python": ">=3.9,<3.13",
            "extras": ["fast", "dev-test"],
            "requires": [
                'tomli>=2; python_version < "3.11"',
                'pywin32; sys_platform == "win32"',
                "requests[socks]>=2",
                'numpy; python_version >= "3.9" and extra == "fast"',
                'legacy; (python_version < "3" or sys_platform == "win32") and extra == "old-stuff"',
                'foo; extra == "dev-test"',
                "bar ===1.0",
                "baz ==1.2.*",
                "qux ~=1.4.5.post1",
                "lc ==1.0+local",
            ],
        },
    ),
    "direct": (
        "direct-user",
        "1.0",
        {"requires": ["direct @ https://example.invalid/direct-1.0-py3-none-any.whl"]},
    ),
    "compiled": (
        "comp",
        "1.0",
        {
            "tag": "cp312-cp312-manylinux_2_28_x86_64",
            "requires": ["numpy"],
            "console_scripts": {"comp": "comp:main"},
            "files": {
                "comp/__init__.py": b"def main():\n    print('comp runs')\n",
                "comp/_x.cpython-312-x86_64-linux-gnu.so": elf(),
                "comp.libs/libgomp-abc.so.1": elf(),
            },
        },
    ),
    "abi3-musl": ("ab", "1.0", {"tag": "cp39-abi3-musllinux_1_2_x86_64", "files": {"ab/_x.abi3.so": elf()}}),
    "abi3": (
        "ab",
        "1.0",
        {"tag": "cp39-abi3-manylinux_2_17_x86_64", "files": {"ab/__init__.py": b"", "ab/_x.abi3.so": elf()}},
    ),
    "univ2": ("u2", "1.0", {"tag": "cp312-cp312-macosx_10_13_universal2"}),
    "t313": (
        "ft",
        "1.0",
        {
            "tag": "cp313-cp313t-manylinux_2_28_x86_64",
            "files": {"ft/_x.cpython-313t-x86_64-linux-gnu.so": elf()},
            "requires_python": None,
        },
    ),
    "tool": (
        "tool",
        "1.0",
        {
            "tag": "py3-none-manylinux_2_17_x86_64",
            "files": {"tool-1.0.data/scripts/tool": elf(), "tool/__init__.py": b""},
        },
    ),
    "ep": (
        "ep",
        "1.0",
        {
            "requires_python": None,
            "console_scripts": {"EpTool": "ep:main", "ep-x": "ep.cli:app [cli]", "ep-obj": "ep:Cls.run"},
            "gui_scripts": {"ep-gui": "ep:gui"},
            "files": {
                "ep/__init__.py": b"def main():\n    print('EpTool runs')\n\n\ndef gui():\n    print('gui runs')\n\n\n"
                b"class Cls:\n    @staticmethod\n    def run():\n        print('Cls.run runs')\n",
                "ep/cli.py": b"def app():\n    print('app runs')\n",
            },
        },
    ),
    "data": (
        "dt",
        "1.0",
        {
            "executable": ("dt-1.0.data/data/share/dt/tool.sh",),
            "files": {
                "dt/__init__.py": b"",
                "dt-1.0.data/scripts/dtrun": _SCRIPT,
                "dt-1.0.data/scripts/dtsh": b"#!/bin/sh\necho plain\n",
                "dt-1.0.data/data/share/dt/x.txt": b"x\n",
                "dt-1.0.data/data/share/dt/tool.sh": b"#!/bin/sh\necho tool\n",
                "dt-1.0.data/data/etc/jupyter/x.json": b"{}\n",
                "dt-1.0.data/purelib/dtextra.py": b"WHO = 'extra'\n",
                "dt-1.0.data/platlib/dtplat.py": b"WHO = 'plat'\n",
            },
        },
    ),
    "headers": (
        "hd",
        "1.0",
        {"files": {"hd/__init__.py": b"", "hd-1.0.data/headers/hd.h": b"#define HD\n"}},
    ),
    "carrying": ("carry", "1.0", {"files": {"carry/__init__.py": b"", "carry/lib/x.so": elf()}}),
    "bundle": (
        "bundle",
        "1.0",
        {"files": {"bundle/__init__.py": b"", "bundle/linux/x.so": elf(), "bundle/win/x.dll": b"MZ" + bytes(62)}},
    ),
    "btag": ("bt", "1.0", {"build": "3abc"}),
    "local": ("loc", "1.0+cu121", {}),
    "ver": ("verx", "1.0rc1.post2.dev3", {}),
    "epoch": ("epo", "1!2.0", {}),
    "py2": ("p2", "1.0", {"tag": "py2.py3-none-any", "requires_python": None}),
    "pth": ("pt", "1.0", {"files": {"pt.py": b"", "pt.pth": b"import sys\n"}}),
    "junk": ("cl", "1.0", {"files": {"cl/__init__.py": b"", "tests/__init__.py": b"", "README.md": b"read me\n"}}),
    "cache": (
        "ca",
        "1.0",
        {"files": {"ca/__init__.py": b"", "ca/__pycache__/__init__.cpython-310.pyc": b"\x6f\x0d\x0d\x0a"}},
    ),
    "interpreter": ("esc", "1.0", {"files": {"esc.py": b"", "esc-1.0.data/data/bin/python3.12": b"#!/bin/sh\n"}}),
    "records": ("esc", "1.0", {"files": {"esc.py": b"", "esc-1.0.data/data/conda-meta/numpy-1.json": b"{}"}}),
    "info": ("esc", "1.0", {"files": {"esc.py": b"", "esc-1.0.data/data/info/index.json": b"{}"}}),
    "library": ("esc", "1.0", {"files": {"esc.py": b"", "esc-1.0.data/data/lib/libssl.so.3": elf()}}),
    "activation": ("esc", "1.0", {"files": {"esc.py": b"", "esc-1.0.data/data/etc/conda/activate.d/x.sh": b"id\n"}}),
    "link-script": ("esc", "1.0", {"files": {"esc.py": b"", "esc-1.0.data/scripts/.esc-post-link.sh": b"id\n"}}),
    "command": ("esc", "1.0", {"console_scripts": {"python3": "esc:main"}}),
    "folder": (
        "fo",
        "1.0",
        {"files": {"fo.py": b"", "fo-1.0.data/scripts/fo": b"x", "fo-1.0.data/data/bin/fo/y": b"y"}},
    ),
    "long": ("n" * 70, "1.0", {"files": {"x.py": b""}}),
    "licensed": (
        "li",
        "1.0",
        {
            "headers": [
                "License-Expression: MIT",
                "Summary: A thing",
                "Project-URL: Homepage, https://example.invalid/",
            ],
            "files": {
                "li.py": b"",
                "li-1.0.dist-info/licenses/LICENSE": b"free\n",
                "li-1.0.dist-info/licenses/vendor/COPYING": b"also free\n",
                "li-1.0.dist-info/sboms/li.cdx.json": b"{}",
            },
        },
    ),
}


def build_case(folder: Path, case: str, **changes: object) -> Path:
    """Write the wheel of a case into `folder`; `changes` replace parts of it."""
    name, version, parts = CASES[case]
    return make_wheel(folder, name, version, **(parts | changes))  # type: ignore[arg-type]
