"""Real wheels: converted, installed by stock py-rattler, and held against what `pip install` makes of the same wheel.

    python benchmarks/convert_corpus.py WHEEL_OR_LIST… [--work DIR] [--jobs 2] [--json]

A list is a text file of lines `FILENAME SHA256 PROJECT==VERSION`; its files are fetched from the configured index.
Each wheel is converted for all its platforms. What this interpreter can run is then installed twice, alone with python:
its package by py-rattler, the wheel by pip. The trees must be equal, byte for byte, but for what an installer makes
anew (first lines of scripts, commands of entry points, RECORD, INSTALLER, direct_url.json); RECORD must list what lies
there with its hash. Then every top-level module is imported and every command asked for its help in both: the outcomes
must be the same (dependencies are missing in both alike). Packages for other platforms and pythons are held against
the wheel file by file, each scheme in its place. `odd_wheels.txt` lists wheels that were chosen for oddness.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import conda_package_streaming.package_streaming as streaming
from conda_package_streaming.package_streaming import CondaComponent

from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.channels.host import HostChannel
from bridge.cli.run import Run
from bridge.convert.channel_index import write_index

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/python{MINOR}/site-packages"
MADE_ANEW = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "direct_url.json", "REQUESTED")
# Commands of pip and of old releases of setuptools, which pip renames for the python that it installs for.
PIPS_OWN = re.compile(r"(?:bin/)?(?:pip|easy_install-)[0-9]\.[0-9]+")


def fetched(listed: Path, folder: Path) -> Iterator[Path]:
    """The wheels of a list, under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    with Run({}).session() as session:
        for line in listed.read_text("utf-8").splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            filename, sha256, requirement = line.split()
            files = session.index.files(requirement.split("==")[0])
            found = next((file for file in files if (file.filename, file.sha256) == (filename, sha256)), None)
            if found is None:
                print(f"no index has {filename}", file=sys.stderr)
                continue
            path = folder / filename
            if not path.exists():
                os.link(session.index.fetch(found), path)
            yield path


def converted(wheels: list[Path], channel: Path, jobs: int) -> dict[str, Any]:
    """The document of `bridge convert` over all wheels, its packages by the wheel's file name."""
    words = ["convert", *map(str, wheels), "-o", str(channel), "--index", "-j", str(jobs), "--json", "-q"]
    done = subprocess.run([sys.executable, "-m", "bridge", *words], capture_output=True, text=True, check=False)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


async def installed(channel: Path, filename: str, host: Path, prefix: Path, caches: Path) -> bool:
    """Install one package with this python, by stock py-rattler; `False` where it is not for this python."""
    from rattler import Channel, Gateway, MatchSpec, install  # noqa: PLC0415

    gateway = Gateway(cache_dir=caches / "repodata")
    platforms: list[Literal["linux-64", "noarch"]] = ["linux-64", "noarch"]
    interpreter = [
        record
        for group in await gateway.query([Channel(host.as_uri())], platforms, ["python", "python_abi"], recursive=False)
        for record in group
    ]
    name = filename.rsplit("-", 2)[0]
    groups = await gateway.query([Channel(channel.as_uri())], platforms, [name], recursive=False)
    (package,) = [record for group in groups for record in group if record.file_name == filename]
    for text in package.depends:
        if text.split(" ")[0] in ("__win", "__osx"):
            return False
        needed = [record for record in interpreter if text.split(" ")[0].split("[")[0] == record.name.normalized]
        if needed and not MatchSpec(text).matches(needed[0]):
            return False
    await install([*interpreter, package], prefix, cache_dir=caches / "packages", show_progress=False)
    return True


def by_pip(wheel: Path, target: Path) -> None:
    """The same wheel by pip."""
    words = ["install", "--no-deps", "--no-index", "--no-compile", "--ignore-installed", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", *words, "--prefix", str(target), str(wheel)], check=True)


def tree(root: Path) -> dict[str, Path]:
    """The files below a folder, without bytecode."""
    return {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(".pyc")
    }


def differences(manifest: WheelManifest, stem: str, prefix: Path, pip: Path) -> Iterator[str]:
    """What py-rattler's tree has otherwise than pip's."""
    meta = prefix / "conda-meta" / f"{stem}.json"
    ours = {path for path in json.loads(meta.read_text())["files"] if not path.endswith(".pyc")}
    # In a virtual environment pip has a folder of its own for headers; in a conda environment it has not.
    theirs = {path.replace("include/site/", "include/", 1): file for path, file in tree(pip).items()}
    commands = {f"bin/{point.name}" for point in manifest.entry_points}
    anew = {f"{SITE}/{manifest.dist_info}/{name}" for name in MADE_ANEW}
    anew |= set(filter(PIPS_OWN.fullmatch, ours | theirs.keys()))
    yield from (f"missing: {path}" for path in sorted(theirs.keys() - ours - anew))
    yield from (f"too many: {path}" for path in sorted(ours - theirs.keys() - anew))
    for path in sorted(ours & theirs.keys() - commands - anew):
        here, there = (prefix / path).read_bytes(), theirs[path].read_bytes()
        if path.startswith("bin/") and here.startswith(b"#!") and there.startswith(b"#!"):
            here, there = here.partition(b"\n")[2], there.partition(b"\n")[2]
        if here != there:
            yield f"other bytes: {path}"
        if ((prefix / path).stat().st_mode ^ theirs[path].stat().st_mode) & 0o100:
            yield f"other mode: {path}"
    yield from untrue(prefix / SITE / manifest.dist_info / "RECORD", prefix, ours)


def untrue(record: Path, prefix: Path, installed_files: Iterable[str]) -> Iterator[str]:
    """What RECORD says and is not so."""
    listed = set()
    with record.open(newline="") as stream:
        for path, digest, _ in csv.reader(stream):
            place = (prefix / SITE / path).resolve()
            listed.add(place)
            if not place.is_file():
                yield f"RECORD lists what is not there: {path}"
            elif (
                digest
                and digest
                != "sha256="
                + base64.urlsafe_b64encode(hashlib.sha256(place.read_bytes()).digest()).rstrip(b"=").decode()
            ):
                yield f"RECORD has another hash: {path}"
    for name in installed_files:
        if (prefix / name).resolve() not in listed:
            yield f"RECORD does not list: {name}"


def behaviour(python: str, folder: Path, manifest: WheelManifest, *, is_prefix: bool) -> dict[str, str]:
    """What becomes of importing each top-level module, and of each command's `--help`."""
    tops = {
        member.path.split("/")[0].removesuffix(".py")
        for member in manifest.members
        if member.path.endswith(".py") and not member.path.startswith((manifest.dist_info, *manifest.data_dirs))
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP", "CONDA"))}
    if not is_prefix:
        environ["PYTHONPATH"] = str(folder / SITE)
    found, prefix = {}, str(Path(python).parents[1])
    code = (
        "import importlib, sys\n"
        "try:\n    importlib.import_module(sys.argv[1])\n    print('imported')\n"
        "except BaseException as error:\n    print(type(error).__name__, str(error).replace(sys.argv[2], ''))"
    )
    for name in sorted(top for top in tops if top.isidentifier()):
        words = [python, "-c", code, name, str(folder)]
        found[f"import {name}"] = said(words, environ)[-1]
    for point in manifest.entry_points:
        if point.group == "console_scripts" and not PIPS_OWN.fullmatch(point.name):
            status, *lines = said([python, str(folder / "bin" / point.name), "--help"], environ)
            found[f"command {point.name}"] = (
                status if status == "0" else lines[-1].replace(prefix, "").replace(str(folder), "")
            )
    return found


def said(words: list[str], environ: Mapping[str, str]) -> list[str]:
    """A program's exit status, and its words, line by line."""
    try:
        done = subprocess.run(
            words, env=environ, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return ["timeout", "timeout"]
    return [str(done.returncode), *(done.stdout + done.stderr).strip().splitlines()]


def unpacked(package: Path) -> dict[str, str]:
    """A package's files: path → sha256."""
    found = {}
    with package.open("rb") as stream:
        for tar, member in streaming.stream_conda_component(package.name, stream, component=CondaComponent.pkg):
            content = tar.extractfile(member)
            if content is not None:
                found[member.name] = hashlib.sha256(content.read()).hexdigest()
    return found


def foreign_differences(manifest: WheelManifest, package: Path) -> Iterator[str]:
    """Files of a wheel that are not in its package, where their scheme has them, with their bytes."""
    files = unpacked(package)
    site = next(path for path in files if path.endswith(f"{manifest.dist_info}/METADATA")).removesuffix(
        f"{manifest.dist_info}/METADATA"
    )
    scripts = "python-scripts/" if site == "site-packages/" else "bin/"
    for member in manifest.members:
        path = member.path
        if path in {f"{manifest.dist_info}/{name}" for name in MADE_ANEW} or path.endswith(".pyc"):
            continue
        scheme, rest = "purelib", path
        if path.split("/")[0] in manifest.data_dirs:
            _, scheme, rest = path.split("/", 2)
        place = {"purelib": site, "platlib": site, "scripts": scripts, "data": "", "headers": None}[scheme]
        if place is None:
            if not any(name.endswith(rest) and name.startswith("include/") for name in files):
                yield f"missing: {path}"
        elif place + rest not in files:
            yield f"missing: {path}"
        elif files[place + rest] != member.sha256 and scheme != "scripts":
            yield f"other bytes: {path}"


def judge(wheel: Path, rows: list[dict[str, Any]], work: Path, host: Path) -> dict[str, Any]:
    """One wheel: its packages against pip."""
    manifest = check_wheel(wheel)
    verdict: dict[str, Any] = {"wheel": wheel.name, "installed": False, "differences": []}
    for row in rows:
        path = Path(row["path"])
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            prefix, pip = Path(scratch, "rattler"), Path(scratch, "pip")
            fits = row["subdir"] in ("linux-64", "noarch") and asyncio.run(
                installed(work / "channel", path.name, host, prefix, work / "caches")
            )
            if not fits:
                verdict["differences"] += foreign_differences(manifest, path)
                continue
            by_pip(wheel, pip)
            verdict["installed"] = True
            verdict["differences"] += differences(manifest, path.name.removesuffix(".conda"), prefix, pip)
            here = behaviour(str(prefix / "bin/python"), prefix, manifest, is_prefix=True)
            there = behaviour(str(prefix / "bin/python"), pip, manifest, is_prefix=False)
            verdict["differences"] += [
                f"{what}: {here[what]} (pip: {there[what]})" for what in here if here[what] != there[what]
            ]
            verdict["imported"] = Counter(here.values())["imported"]
            verdict["commands"] = sum(value == "0" for what, value in here.items() if what.startswith("command"))
    return verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path, metavar="WHEEL_OR_LIST")
    parser.add_argument("--work", type=Path, help="keep what was made here, and use what is there")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("BRIDGE_INDEX_STRATEGY", "best")  # as pip: files have hashes, and extras need any version
    with tempfile.TemporaryDirectory() as scratch:
        work = (options.work or Path(scratch)).absolute()
        wheels: list[Path] = []
        for source in options.sources:
            wheels += [source.absolute()] if source.suffix == ".whl" else fetched(source, work / "wheels")
        host = HostChannel(work)
        for record in [*host.records("python"), *host.records("python_abi")]:
            host.archive(record)
        write_index(work / "host")
        document = converted(wheels, work / "channel", options.jobs)
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in document["packages"]:
            rows.setdefault(row["wheel"].rsplit("/", 1)[-1], []).append(row)
        verdicts = []
        for wheel in wheels:
            if wheel.name in rows:
                verdicts.append(judge(wheel, rows[wheel.name], work, work / "host"))
                if not options.json:
                    print(json.dumps(verdicts[-1]), flush=True)
        summary = {
            "wheels": len(wheels),
            "converted": len(rows),
            "refused": {failure["wheel"]: failure["error"]["id"] for failure in document["failures"]},
            "installed": sum(verdict["installed"] for verdict in verdicts),
            "modules_imported": sum(verdict.get("imported", 0) for verdict in verdicts),
            "commands_run": sum(verdict.get("commands", 0) for verdict in verdicts),
            "with_differences": sum(bool(verdict["differences"]) for verdict in verdicts),
        }
        print(json.dumps({"wheels": verdicts, "summary": summary} if options.json else summary, indent=2))
        sys.stdout.flush()
        os._exit(0)  # an interpreter that used rattler may abort while it finalises


if __name__ == "__main__":
    main()
