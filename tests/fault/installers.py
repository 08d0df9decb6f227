"""Random steps of pip, uv, bridge and conda's own way of recording in one environment, each judged without bridge.

    python -m tests.fault.installers --seeds 10 --steps 36

After each step: what is asked for is there when bridge says so, nothing of anybody else is lost, what bridge refuses
changes nothing, no record that it wrote is false, and no project gets a second dist-info.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.builders import install_record, make_conda, make_repodata, make_wheel, tree_digest
from tests.support.command_line import Bridge, Ran, clean_environment
from tests.support.distributions import conda_records, damage, seen_by_python
from tests.support.environments import MINOR, SITE, Environment
from tests.support.pip import pip_of

__all__ = ["Walk", "main"]

NAMESPACE = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
PROJECTS = ("leaf", "user", "strict", "spaced-a", "spaced-b", "dual")
VERSIONS = ("1.0", "2.0")
NEEDS = {"user": ["leaf"], "strict": ["leaf>=2", "dual"]}
REFUSALS = frozenset({2, 4, 6, 10})
MODES = ("copy", "hardlink", "symlink")


def packages(folder: Path) -> None:
    """The wheels of all projects, and a channel with `dual`, which is a project too, and `tool`, which is none."""
    for name in PROJECTS:
        for version in VERSIONS:
            module = name.replace("-", "_")
            files = {f"{module}/__init__.py": f"V = {version!r}\n".encode()}
            if name.startswith("spaced"):
                files |= {"spaced/__init__.py": NAMESPACE, f"spaced/{module}.py": b"", "tests/__init__.py": b""}
            make_wheel(folder / "wheels", name, version, files=files, requires=NEEDS.get(name, ()))
    for version in VERSIONS:
        info = f"{SITE}/dual-{version}.dist-info"
        text = f"Metadata-Version: 2.1\nName: dual\nVersion: {version}\n".encode()
        files = {f"{SITE}/dual/__init__.py": f"V = {version!r}\n".encode(), f"{info}/METADATA": text}
        rows = (
            "".join(f"{path.removeprefix(f'{SITE}/')},,\n" for path in files) + f"dual-{version}.dist-info/RECORD,,\n"
        )
        make_conda(folder / "channel", "dual", version, files=files | {f"{info}/RECORD": rows.encode()})
        make_conda(folder / "channel", "tool", version, files={"share/tool": version.encode()})
    make_repodata(folder / "channel")
    (folder / "channel/names.json").write_text('{"dual": ["dual"]}')


@dataclass
class Walk:
    """One environment and the steps that were taken in it. `faults` says what was wrong, step by step."""

    folder: Path
    seed: int
    steps: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        packages(self.folder)
        self.random = random.Random(self.seed)
        self.root = Environment(self.folder / "env").root
        self.site = self.root / SITE
        self.bridge = Bridge.of_folder(self.folder)

    def run(self, count: int) -> list[str]:
        """Take so many steps; returns what was wrong."""
        for _ in range(count):
            self.random.choice(self._ways())()
        return self.faults

    def _ways(self) -> list[Callable[[], None]]:
        return [*[self.pip_install, self.uv_install] * 2, self.pip_uninstall, self.uv_uninstall, self.conda_step,
                *[self.bridge_install] * 4, self.bridge_update, self.bridge_remove, self.bridge_adopt,
                self.bridge_fix]  # fmt: skip

    # --- other installers ---------------------------------------------------------------------------------------------

    def _other(self, *words: str) -> None:
        options = {"PIP_ROOT_USER_ACTION": "ignore", "UV_CACHE_DIR": str(self.folder / "uv")}
        ran = subprocess.run(
            words, check=False, capture_output=True, env=clean_environment() | options, cwd=self.folder
        )
        self.steps.append(" ".join(words).replace(str(self.folder), "") + f"   # exit {ran.returncode}")

    def _pip(self, *words: str) -> None:
        self._other(*pip_of(self.root / "bin/python"), *words)

    def pip_install(self) -> None:
        self._pip("install", "--no-index", "--find-links", str(self.folder / "wheels"), self._spec())

    def pip_uninstall(self) -> None:
        self._pip("uninstall", "--yes", self.random.choice(PROJECTS))

    def uv_install(self) -> None:
        if (uv := shutil.which("uv", path=f"{Path(sys.executable).parent}")) is not None:
            where = [
                "--python",
                str(self.root / "bin/python"),
                "--no-index",
                "--find-links",
                str(self.folder / "wheels"),
            ]
            self._other(uv, "pip", "install", *where, "--link-mode", self.random.choice(MODES), self._spec())

    def uv_uninstall(self) -> None:
        if (uv := shutil.which("uv", path=f"{Path(sys.executable).parent}")) is not None:
            self._other(uv, "pip", "uninstall", "--python", str(self.root / "bin/python"), self.random.choice(PROJECTS))

    def conda_step(self) -> None:
        """Conda installs or removes a package of its own, files and record."""
        record = self.root / "conda-meta/native-1.0-0.json"
        if record.is_file():
            self.steps.append("conda remove native")
            record.unlink()
            (self.root / "share/native").unlink(missing_ok=True)
        else:
            self.steps.append("conda install native")
            install_record(self.root, "native", "1.0", files={"share/native": b"1"})

    def _spec(self) -> str:
        name = self.random.choice(PROJECTS)
        return f"{name}=={self.random.choice(VERSIONS)}" if self.random.random() < 0.6 else name

    # --- bridge -------------------------------------------------------------------------------------------------------

    def bridge_install(self) -> None:
        spec = self.random.choice(["tool", "conda:dual", *[self._spec()] * 6])
        options = ["--adopt"] if self.random.random() < 0.2 else []
        name, _, version = spec.removeprefix("conda:").partition("==")
        ran = self._bridge("install", *options, spec)
        if ran.status == 0 and name in PROJECTS:
            seen = seen_by_python(self.site).get(name, [])
            if len(seen) != 1 or version not in {"", seen[0]}:
                self._fault(f"exit 0, and python sees {name} at {seen}")
            elif not self._is_importable(name, seen[0]):
                self._fault(f"exit 0, and python does not import {name} {seen[0]}")

    def _is_importable(self, name: str, version: str) -> bool:
        path = self.site / name.replace("-", "_") / "__init__.py"
        return path.is_file() and path.read_bytes() == f"V = {version!r}\n".encode()

    def bridge_update(self) -> None:
        names = [] if self.random.random() < 0.5 else [self.random.choice(PROJECTS)]
        self._bridge("update", *names)

    def bridge_remove(self) -> None:
        name = self.random.choice([*PROJECTS, "tool"])
        ran = self._bridge("remove", name, gone=name)
        if ran.status == 0 and name in seen_by_python(self.site):
            self._fault(f"exit 0, and {name} is still there")

    def bridge_adopt(self) -> None:
        self._bridge("adopt", *([] if self.random.random() < 0.5 else [self.random.choice(PROJECTS)]))

    def bridge_fix(self) -> None:
        self._bridge("audit", "--fix", "--fail-on", "never")

    def _bridge(self, command: str, *words: str, gone: str = "") -> Ran:
        """Run bridge, and judge what it did. `gone`: the project that may go, with what came for its sake."""
        before, was, hurt = self._tree(), seen_by_python(self.site), set(damage(self.site))
        recorded = self._records()
        ran = self.bridge(command, "-p", self.root, *words, "--json")
        self.steps.append(" ".join(["bridge", command, *words]) + f"   # exit {ran.status}")
        self.done += 1
        if ran.status not in {0, *REFUSALS} or "Traceback" in ran.err:
            self._fault(f"exit {ran.status}: {ran.err[-300:]}")
        if ran.status != 0:
            if self._tree() != before:
                self._fault(f"exit {ran.status}, and the tree changed")
            return ran
        self._judge(was, hurt, recorded, gone)
        return ran

    def _judge(self, was: dict[str, list[str]], hurt: set[str], recorded: dict[str, bytes], gone: str) -> None:
        now = seen_by_python(self.site)
        self.faults += [
            f"{self._here()}: {name} has two dist-infos: {now[name]}"
            for name in now
            if len(now[name]) > len(was.get(name, [1]))
        ]
        if not gone:
            self.faults += [f"{self._here()}: {name} is lost" for name in was.keys() - now.keys()]
        worse = set(damage(self.site)) - hurt
        self.faults += [f"{self._here()}: {text}" for text in sorted(worse)]
        doubled = [name for name, versions in conda_records(self.root).items() if len(versions) > 1]
        self.faults += [f"{self._here()}: {name} has several records" for name in doubled]
        for name, data in self._records().items():
            if recorded.get(name) != data:
                lacking = [
                    path
                    for path in json.loads(data)["files"]
                    if not path.endswith(".pyc") and not (self.root / path).exists()
                ]
                if lacking:
                    self._fault(f"{name} was written and lists {lacking[:3]}, which are not there")

    def _records(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.root / "conda-meta").glob("*.json")}

    def _tree(self) -> dict[str, tuple[str, str]]:
        own = ("conda-meta/.bridge", "conda-meta/history")
        return {path: seen for path, seen in tree_digest(self.root).items() if not path.startswith(own)}

    def _here(self) -> str:
        return f"seed {self.seed}, step {len(self.steps)} ({self.steps[-1]})"

    def _fault(self, text: str) -> None:
        self.faults.append(f"{self._here()}: {text}")


def main() -> int:
    """Walk with many seeds; prints what was wrong, and how many steps were taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=36)
    parser.add_argument("--show", action="store_true", help="print the steps of every seed")
    asked = parser.parse_args()
    taken = wrong = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        with tempfile.TemporaryDirectory(prefix="bridge-walk-") as folder:
            walk = Walk(Path(folder), seed)
            found = walk.run(asked.steps)
            taken, wrong = taken + len(walk.steps), wrong + bool(found)
            for text in found:
                print(text, flush=True)
            if found or asked.show:
                print("  " + "\n  ".join(walk.steps), flush=True)
    print(f"{taken} steps, {wrong} of {asked.seeds} seeds with faults (python {MINOR})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
