"""False alarms: sound environments of 321 popular packages, which must have no finding of level error.

    python benchmarks/audit_clean.py [--tools uv,pip,bridge,conda] [--groups 10] [--json] [PREFIX…]

Makes one environment for each group of `popular.txt` and each tool, from the index that pip is configured to use, and
audits it. `conda` is conda-shaped: what uv resolved is converted to conda packages, these are put into a channel, and
an environment is made of that channel alone. A package that has no wheel here is left out. With PREFIX only these
environments are audited. For `uv` and `conda` it needs uv beside this python or on PATH.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

POPULAR = Path(__file__).with_name("popular.txt")
GROUPS = [
    [name for line in group.splitlines() if not line.startswith("#") for name in line.split()]
    for group in POPULAR.read_text().split("\n\n")
]
GROUPS = [group for group in GROUPS if group]


def run(words: list[str]) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def made(tool: str, names: list[str], root: Path) -> int:
    """Make an environment; how many of the packages that were asked for are in it."""
    if tool == "conda":
        return conda_shaped(names, root)
    if tool == "bridge":
        words = [sys.executable, "-m", "bridge", "create", "-q", "-p", str(root), "-c", "host", "--no-build", "python"]
        if run([*words, *names]):
            return len(names)
        run(words)
        install = [sys.executable, "-m", "bridge", "install", "-q", "-p", str(root), "-c", "host", "--no-build"]
        return sum(run([*install, name]) for name in names)
    run([sys.executable, "-m", "venv", *(["--without-pip"] if tool == "uv" else []), str(root)])
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    words = [str(root / "bin/python"), "-m", "pip", "install", "-q", "--only-binary", ":all:"]
    words = [uv, "pip", "install", "-q", "--no-build", "-p", str(root)] if tool == "uv" else words
    return len(names) if run([*words, *names]) else sum(run([*words, name]) for name in names)


def conda_shaped(names: list[str], root: Path) -> int:
    """What uv resolves, converted, and installed as conda packages."""
    bare, wheels, channel = (root.with_name(f"{root.name}-{part}") for part in ("uv", "wheels", "channel"))
    count = made("uv", names, bare)
    infos = (path.name.removesuffix(".dist-info") for path in bare.glob("lib/python3*/site-packages/*.dist-info"))
    wanted = ["==".join(info.split("-", 1)) for info in infos]
    run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            str(wheels),
            *wanted,
        ]
    )
    bridge, files = [sys.executable, "-m", "bridge"], sorted(map(str, wheels.glob("*.whl")))
    run([*bridge, "convert", "-q", "--index", "--compression", "3", "-c", "host", "-o", str(channel), *files])
    sources = ["-c", str(channel), "-c", "host", "--offline"]
    is_made = run([*bridge, "create", "-q", "-p", str(root), *sources, "python", *names])
    for folder in (bare, wheels, channel):
        shutil.rmtree(folder, ignore_errors=True)
    return count if is_made else 0


def audited(root: Path) -> dict[str, object]:
    words = [sys.executable, "-m", "bridge", "audit", "-p", str(root), "--json", "--rehash", "--fail-on", "never"]
    found: dict[str, object] = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefixes", nargs="*", type=Path)
    parser.add_argument("--tools", default="uv,pip,bridge,conda")
    parser.add_argument("--groups", type=int, default=len(GROUPS))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    documents = [audited(prefix) for prefix in asked.prefixes]
    with tempfile.TemporaryDirectory(prefix="bridge-clean-") as folder:
        for tool in asked.tools.split(",") if not asked.prefixes else ():
            for number, group in enumerate(GROUPS[: asked.groups]):
                root = Path(folder, f"{tool}{number}")
                count = made(tool, group, root)
                if root.exists():
                    documents.append(audited(root))
                    shutil.rmtree(root)
                print(f"{tool} {number}: {count} of {len(group)} asked for", file=sys.stderr, flush=True)
    kinds: collections.Counter[str] = collections.Counter()
    packages = 0
    for document in documents:
        packages += sum(document["summary"]["packages"].values())  # type: ignore[index]
        for finding in document["findings"]:  # type: ignore[attr-defined]
            kinds[f"{finding['level']} {finding['id']}"] += 1
            if finding["level"] == "error":
                print(
                    f"{document['prefix']}: {finding['id']} {finding['path']}: {finding['evidence']}", file=sys.stderr
                )
    errors = sum(count for kind, count in kinds.items() if kind.startswith("error"))
    result = {
        "environments": len(documents),
        "packages": packages,
        "errors": errors,
        "findings": dict(kinds.most_common()),
    }
    print(json.dumps(result, indent=2) if asked.json else "\n".join(f"{key}: {value}" for key, value in result.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
