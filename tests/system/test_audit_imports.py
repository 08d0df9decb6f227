"""`bridge audit --import`: what a python of the environment imports, in the sandbox, and what becomes of the rest."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import pytest

from bridge.sdists.build import confinement
from tests.support.builders import metadata_text
from tests.support.command_line import Bridge

SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
WRITES = "import pathlib, sys\npathlib.Path(sys.prefix, 'written').write_text('x')\n"
CALLS = "import socket\nsocket.create_connection(('192.0.2.1', 80), 1)\n"
GUARDED = (
    "try:\n    import aiohttp_absent\nexcept ImportError as error:\n    raise ImportError('install x[d]') from error\n"
)

# Distribution → what it requires, and its modules.
PROJECTS: dict[str, tuple[str, dict[str, str]]] = {
    "sound": ("", {"sound/__init__.py": "from . import part\n", "sound/part.py": "", "_sound.py": "1 / 0\n"}),
    "names": ("", {"ns/names/__init__.py": "1 / 0\n"}),
    "broken": ("", {"broken.py": "def f(:\n"}),
    "crash": ("", {"crash.py": CRASH}),
    "optional": ("", {"optional.py": GUARDED}),
    "needy": ("absent-thing", {"needy.py": "import absent_thing\n"}),
    "half": ("", {"half/__init__.py": "from half import gone\n"}),
    "program": ("", {"program.py": "import sys\nsys.exit(3)\n"}),
    "two": ("", {"two.py": "", "other.py": "1 / 0\n", "tests/__init__.py": "1 / 0\n"}),
    "writer": ("", {"writer.py": WRITES}),
    "caller": ("", {"caller.py": CALLS}),
    # What these leave behind is not charged to the modules that are imported after them.
    "leaver": ("", {"leaver.py": "import os\nos._exit(0)\n"}),
    "filter": ("", {"filter.py": "import warnings\nwarnings.simplefilter('error')\n"}),
    "warner": ("", {"warner.py": "import warnings\nwarnings.warn('old', DeprecationWarning)\n"}),
}
FOUND = {
    "names": ("error", "python cannot import ns.names: ZeroDivisionError"),
    "broken": ("error", "SyntaxError"),
    "crash": ("error", "SIGSEGV ended the python process"),
    "optional": ("info", "its requirements do not name it"),
    "needy": ("error", "No module named 'absent_thing'"),
    "half": ("error", "cannot import name 'gone'"),
    "program": ("info", "it ends python, as programs do"),
    "leaver": ("info", "it ends python, as programs do"),
    "two": ("warning", "python cannot import other: ZeroDivisionError"),
    "writer": ("error", "Error"),
    "caller": ("error", "Error"),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imports") / "env"
    venv.create(root, symlinks=True)
    for name, (requires, modules) in PROJECTS.items():
        metadata = metadata_text(name, "1.0", requires=[requires] if requires else [])
        files = {**{path: text.encode() for path, text in modules.items()}, f"{name}-1.0.dist-info/METADATA": metadata}
        rows = "".join(f"{path},,\n" for path in [*files, f"{name}-1.0.dist-info/RECORD"])
        for path, data in {**files, f"{name}-1.0.dist-info/RECORD": rows.encode()}.items():
            (root / SITE / path).parent.mkdir(parents=True, exist_ok=True)
            (root / SITE / path).write_bytes(data)
    return root


def test_each_module_is_imported_and_judged(environment: Path, tmp_path: Path) -> None:
    bridge = Bridge.of_folder(tmp_path)
    done = bridge("audit", "-p", environment, "--import", "--json", "import-fails")
    assert done.status == 11, done.err
    without = set() if {"namespaces", "landlock"} & {*confinement.available()} else {"writer", "caller"}
    expected = {name: what for name, what in FOUND.items() if name not in without}
    found = {each["package"]: (each["level"], each["evidence"]) for each in done.document["findings"]}
    found = {name: what for name, what in found.items() if name not in without}
    assert {name: level for name, (level, _) in found.items()} == {name: level for name, (level, _) in expected.items()}
    assert not [name for name, (_, part) in expected.items() if part not in found[name][1]], found
    assert without or not (environment / "written").exists(), "the sandbox let a module write"
    assert not list(environment.rglob("__pycache__")), "an audit writes nothing"


def test_nothing_is_imported_unless_asked(environment: Path, tmp_path: Path) -> None:
    document = Bridge.of_folder(tmp_path)("audit", "-p", environment, "--json").document
    assert {each["id"] for each in document["findings"]} == {"unmet-requirement"}


def test_a_python_that_does_not_run_is_one_error(tmp_path: Path) -> None:
    root = tmp_path / "env"
    venv.create(root, symlinks=True)
    (root / SITE / "lone.py").write_bytes(b"")
    (root / SITE / "lone-1.0.dist-info").mkdir()
    (root / SITE / "lone-1.0.dist-info/METADATA").write_bytes(metadata_text("lone", "1.0"))
    (root / SITE / "lone-1.0.dist-info/RECORD").write_bytes(b"lone.py,,\n")
    (root / "bin/python").unlink()
    (root / "bin/python").symlink_to("/bin/true")
    done = Bridge.of_folder(tmp_path)("audit", "-p", root, "--import")
    assert (done.status, "error[import-trial]" in done.err) == (7, True), done.err
