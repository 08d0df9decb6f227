"""Real environments for seeded defects: venv with pip, uv's, bridge's on the channel `host`, and one of conda packages.

The packages are made here; the tools that install them are the real ones. An environment is made once and put back by
copying, at the same path, so that what names its own path stays true.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

from tests.support.binaries import elf
from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.command_line import clean_environment
from tests.support.pip import pip_of

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
DIGITS = MINOR.replace(".", "")
SITE = f"lib/python{MINOR}/site-packages"
EXTENSION = f"cpython-{DIGITS}-x86_64-linux-gnu.so"
TAG = f"cp{DIGITS}-cp{DIGITS}-manylinux_2_17_x86_64"
NUMPY_2 = b"\0numpy._core._multiarray_umath\0numpy.core._multiarray_umath\0(NumPy 1.25) but the running NumPy has\0"


@dataclass
class Environment:
    """One environment, and how it came to be.

    :param kind: `venv`, `uv`, `bridge` or `conda`.
    :param folder: for what a defect needs beside the environment; it is emptied between two defects.
    """

    kind: str
    root: Path
    folder: Path
    wheels: Path
    saved: Path
    environ: dict[str, str] = field(default_factory=dict)
    made: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def site(self) -> Path:
        return self.root / SITE

    @property
    def python(self) -> Path:
        return self.root / "bin/python"

    @property
    def has_records(self) -> bool:
        return self.kind in {"bridge", "conda"}

    def path(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()

    def restore(self) -> None:
        """Put everything back as it was made; only what is another inode, or was changed, is copied again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.environ = {"HOME": str(self.folder)}
        now = _tree(self.root)
        for path in sorted(now.keys() - self.made.keys(), reverse=True):
            _drop(self.root / path)
        for path in sorted(self.made):
            if now.get(path) != self.made[path]:
                self._put_back(path)
        self.made = _tree(self.root)

    def _put_back(self, path: str) -> None:
        here, there = self.root / path, self.saved / path
        if there.is_dir() and not there.is_symlink():
            if here.is_symlink() or not here.is_dir():
                _drop(here)
            here.mkdir(exist_ok=True)
            shutil.copystat(there, here)
            return
        _drop(here)
        shutil.copy2(there, here, follow_symlinks=False)

    def wheel(self, name: str, version: str, **parts: object) -> Path:
        """Make a wheel that nobody has yet."""
        return make_wheel(self.folder / "wheels", name, version, **parts)  # type: ignore[arg-type]

    def place(self, wheel: Path, installer: str = "pip") -> None:
        """Install a wheel as pip does, by pypa's own library, over whatever lies there."""
        site = str(self.site)
        scheme = {"purelib": site, "platlib": site, "scripts": str(self.root / "bin"), "data": str(self.root)}
        scheme["headers"] = str(self.root / "include")
        destination = SchemeDictionaryDestination(
            scheme, interpreter=str(self.python), script_kind="posix", overwrite_existing=True
        )
        with WheelFile.open(wheel) as source:
            install(source, destination, {"INSTALLER": f"{installer}\n".encode()})

    def pip(self, *words: object) -> None:
        """Run pip on this environment; it is this python's pip, so that the environment needs none."""
        command = [*pip_of(self.python), *map(str, words)]
        common = ["--no-index", "--disable-pip-version-check", "-q"] if "install" in command else ["-q"]
        subprocess.run([*command, *common], check=True, capture_output=True, env=clean_environment())


def make_wheels(folder: Path) -> Mapping[str, Path]:
    """The wheels of every environment; `beta` in two versions."""
    script = b"def main():\n    print('alpha')\n"
    core = {f"alpha/part{number}.py": f"VALUE = {number}\n".encode() * 40 for number in range(8)}
    extension = {
        f"gamma/_fast.{EXTENSION}": elf(
            needed=["libc.so.6", "libgomp-0123abcd.so.1"],
            search="$ORIGIN/../gamma.libs",
            glibc="2.17",
            payload=NUMPY_2 + bytes(range(256)) * 20,
        ),
        "gamma/__init__.py": b"",
        "gamma.libs/libgomp-0123abcd.so.1": elf(soname="libgomp-0123abcd.so.1", needed=["libc.so.6"]),
    }
    return {
        "alpha": make_wheel(
            folder,
            "alpha",
            "1.0",
            files={"alpha/__init__.py": script, **core},
            console_scripts={"alpha": "alpha:main"},
            requires=["beta>=1.2", "gamma"],
        ),
        "beta": make_wheel(
            folder, "beta", "1.5", files={"beta/__init__.py": b"X = 1\n", "beta/data.txt": b"beta\n" * 9}
        ),
        "beta-new": make_wheel(folder, "beta", "2.0", files={"beta/__init__.py": b"X = 2\n", "beta/new.py": b"\n"}),
        "beta-old": make_wheel(folder, "beta", "1.0", files={"beta/__init__.py": b"X = 0\n"}),
        "gamma": make_wheel(folder, "gamma", "3.1", files=extension, tag=TAG, requires=["numpy>=1.25"]),
        "numpy": make_wheel(
            folder,
            "numpy",
            "2.1.0",
            files={
                "numpy/__init__.py": b"v = 2\n",
                f"numpy/_core/_multiarray_umath.{EXTENSION}": elf(needed=["libc.so.6"]),
            },
            tag=TAG,
        ),
        "delta": make_wheel(
            folder,
            "delta",
            "0.7",
            files={
                "delta/__init__.py": b"D = 1\n",
                "delta/more/__init__.py": b"\n",
                "delta/more/deep.py": b"E = 2\n" * 30,
                "delta-0.7.data/scripts/plough": b"#!python\nprint('ploughing')\n",
            },
            executable=["delta-0.7.data/scripts/plough"],
        ),
    }


def make_channel(folder: Path) -> Path:
    """Conda packages: a library with links, a program with the prefix in it, a python project, OpenMP."""
    make_conda(
        folder,
        "libzed",
        "1.3",
        subdir="linux-64",
        noarch=None,
        files={
            "lib/libzed.so.1.3": elf(soname="libzed.so.1"),
            "share/zed/readme.txt": b"zed\n" * 12,
            "lib/libzed.a": b"!<arch>\n",
        },
        links={"lib/libzed.so": "libzed.so.1.3", "lib/libzed.so.1": "libzed.so.1.3"},
    )
    placeholder = "/opt/placeholder_" + "p" * 80
    make_conda(
        folder,
        "zedtool",
        "2.0",
        subdir="linux-64",
        noarch=None,
        depends=["libzed >=1.2"],
        files={"bin/zedtool": f"#!{placeholder}/bin/python\nprint('zed')\n".encode(), "etc/zed.conf": b"[zed]\n"},
        executable=["bin/zedtool"],
        placeholders={"bin/zedtool": (placeholder, "text")},
    )
    make_conda(
        folder, "llvm-openmp", "18.1", subdir="linux-64", noarch=None, files={"lib/libomp.so": elf(soname="libomp.so")}
    )
    members = {
        "site-packages/pyzed/__init__.py": b"Z = 26\n",
        "site-packages/pyzed/table.py": b"TABLE = 1\n" * 25,
        "site-packages/pyzed-4.2.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pyzed\nVersion: 4.2\n",
        "site-packages/pyzed-4.2.dist-info/INSTALLER": b"conda\n",
        "site-packages/pyzed-4.2.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "site-packages/pyzed-4.2.dist-info/RECORD": b"pyzed/__init__.py,,\npyzed/table.py,,\n",
    }
    make_conda(folder, "pyzed", "4.2", noarch="python", depends=["python", "libzed"], files=members)
    make_repodata(folder)
    return folder


def environments(work: Path, kinds: tuple[str, ...], cache: Path) -> Iterator[Environment]:
    """Make those of `kinds` that this machine has the tools for."""
    wheels = work / "made"
    made = make_wheels(wheels)
    channel = make_channel(work / "channel")
    chosen = [made[name] for name in ("alpha", "beta", "gamma", "numpy", "delta")]
    for kind in kinds:
        root = work / kind / "env"
        root.parent.mkdir(parents=True)
        environment = Environment(kind, root, work / kind / "beside", wheels, work / kind / "saved")
        if kind == "uv":
            uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
            if not Path(uv).is_file():
                continue
            _run([uv, "venv", "-q", "--offline", "-p", sys.executable, str(root)], UV_CACHE_DIR=str(work / "uv"))
            words = [uv, "pip", "install", "-q", "--offline", "--no-index", "-p", str(root), *map(str, chosen)]
            _run(words, UV_CACHE_DIR=str(work / "uv"))
        elif kind == "venv":
            _run([sys.executable, "-m", "venv", "--without-pip", str(root)])
            environment.pip("install", *chosen)
        else:
            packages: list[object] = ["python"]
            packages += ["zedtool", "pyzed", "llvm-openmp", "libzed"] if kind == "conda" else []
            requirements = [*packages, "alpha", "beta==1.5", "gamma", "pypi:numpy", "delta"]
            offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
            offline["BRIDGE_CACHE_DIR"] = str(cache)
            words = [sys.executable, "-m", "bridge", "create", "-p", str(root), "-c", str(channel), "-c", "host", "-q"]
            _run([*words, *map(str, requirements)], **offline)
        shutil.copytree(root, environment.saved, symlinks=True)
        environment.made = _tree(root)
        environment.restore()
        yield environment


def _tree(root: Path) -> dict[str, tuple[int, ...]]:
    """What tells whether a path was touched; of folders, only that they are there, and their mode."""
    found: dict[str, tuple[int, ...]] = {}
    for folder, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(folder, name)
            status = path.lstat()
            kept = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_nlink)
            found[path.relative_to(root).as_posix()] = (status.st_mode, *(() if stat.S_ISDIR(status.st_mode) else kept))
    return found


def _drop(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _run(words: list[str], **environ: str) -> None:
    done = subprocess.run(words, env=clean_environment() | environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:6])}: {done.stderr}")
