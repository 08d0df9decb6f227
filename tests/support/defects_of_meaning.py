"""Further seeded defects: requirements, binaries, scripts, and what python reads before anybody's program."""

from __future__ import annotations

import json
import random
import shutil

from tests.support.binaries import elf, macho, pe
from tests.support.builders import install_distribution, install_record
from tests.support.defect_environments import DIGITS, EXTENSION, MINOR, SITE, TAG, Environment
from tests.support.defects import ALL, NUMPY_1, PIPS, Expected, at, kind, label

__all__ = ["ALL"]


# --- requirements -----------------------------------------------------------------------------------------------------


@kind("what a package requires was uninstalled", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    name, needs = rng.choice([("beta", "alpha"), ("gamma", "alpha"), ("numpy", "gamma")])
    env.pip("uninstall", "--yes", name)
    return Expected(("unmet-requirement",), packages=(needs,))


@kind("what a package requires was downgraded", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    env.pip("install", "--no-deps", env.wheels / "beta-1.0-py3-none-any.whl")
    return Expected(("unmet-requirement",), packages=("alpha",), by=("pip:beta-1.0",), also=("beta",))


@kind("a package that requires what is not there")
def _(env: Environment, rng: random.Random) -> Expected:
    env.place(env.wheel("needy", "1.0", requires=[rng.choice(["absent>=2", "beta>=9", "alpha[no]<1"])]))
    return Expected(("unmet-requirement",), packages=("needy",))


@kind("a conda package's requirement is gone", ("conda",))
def _(env: Environment, rng: random.Random) -> Expected:
    record = next((env.root / "conda-meta").glob("libzed-*.json"))
    for each in json.loads(record.read_bytes())["paths_data"]["paths"]:
        (env.root / each["_path"]).unlink()
    record.unlink()
    return Expected(("unmet-requirement",), packages=("zedtool", "pyzed"), also=("share/zed",))


@kind("a conda package that asks for another version of a wheel's project", ("conda", "bridge"))
def _(env: Environment, rng: random.Random) -> Expected:
    install_record(env.root, "asker", "1", files={}, depends=["beta >=7"], subdir="linux-64")
    return Expected(("unmet-requirement",), packages=("asker",), by=(label(env, "beta-1.5"),))


@kind("a wheel that asks for another version of a conda package's project", ("conda",))
def _(env: Environment, rng: random.Random) -> Expected:
    env.place(env.wheel("asker", "1.0", requires=["pyzed<4"]))
    return Expected(("unmet-requirement",), packages=("asker",), by=("conda:pyzed-4.2-0",))


@kind("made for another python")
def _(env: Environment, rng: random.Random) -> Expected:
    env.place(env.wheel("modern", "1.0", requires_python=rng.choice([">=3.99", "<3.8", "==2.7.*"])))
    return Expected(("requires-python",), packages=("modern",))


@kind("a wheel for another platform, python or glibc")
def _(env: Environment, rng: random.Random) -> Expected:
    tags = [
        f"cp{DIGITS}-cp{DIGITS}-macosx_11_0_arm64",
        f"cp{DIGITS}-cp{DIGITS}-manylinux_2_17_aarch64",
        "cp38-cp38-manylinux1_x86_64",
    ]
    tags += [
        f"cp{DIGITS}-cp{DIGITS}-win_amd64",
        f"cp{DIGITS}-cp{DIGITS}-manylinux_2_98_x86_64",
        f"cp{DIGITS}-cp{DIGITS}-musllinux_1_2_x86_64",
    ]
    env.place(env.wheel("foreign", "1.0", tag=rng.choice(tags)))
    return Expected(("wheel-tag",), packages=("foreign",))


# --- binaries ---------------------------------------------------------------------------------------------------------


def extension(env: Environment, content: bytes, *ids: str, suffix: str = EXTENSION, **parts: object) -> Expected:
    env.place(env.wheel("fast", "1.0", files={f"fast/_x.{suffix}": content, "fast/__init__.py": b""}, tag=TAG, **parts))
    return Expected(ids, (f"{SITE}/fast/_x.{suffix}",), also=("fast",))


@kind("an extension of another python")
def _(env: Environment, rng: random.Random) -> Expected:
    other = rng.choice(["38", "39", "399"])
    return extension(env, elf(), "extension-tag", suffix=f"cpython-{other}-x86_64-linux-gnu.so")


@kind("an extension of a free-threaded python")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(env, elf(), "extension-tag", suffix=f"cpython-{DIGITS}t-x86_64-linux-gnu.so")


@kind("an extension for another processor")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(env, elf(machine=rng.choice(["aarch64", "i686"])), "foreign-binary")


@kind("an extension for another system")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(env, rng.choice([macho(needed=["/usr/lib/libSystem.B.dylib"]), pe()]), "foreign-binary")


@kind("an extension linked with musl")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(env, elf(needed=["libc.musl-x86_64.so.1"]), "foreign-binary")


@kind("an extension that needs a newer glibc")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(env, elf(needed=["libc.so.6"], glibc=f"2.{rng.randrange(60, 98)}"), "glibc-too-old")


@kind("an extension built for numpy 1")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(env, elf(payload=NUMPY_1), "numpy-abi", requires=["numpy"])


@kind("an extension built for a newer numpy")
def _(env: Environment, rng: random.Random) -> Expected:
    said = b"\0numpy._core._multiarray_umath\0(NumPy 2.9) but the running NumPy has C-API version\0"
    return extension(env, elf(payload=said), "numpy-abi", requires=["numpy"])


@kind("an extension that needs a library which is nowhere")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(env, elf(needed=["libc.so.6", f"libgone{rng.randrange(99)}.so.3"]), "missing-library")


@kind("a search path that leaves the environment")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(
        env, elf(search=rng.choice(["/usr/lib", "/nowhere/lib:$ORIGIN", "$ORIGIN/../../../../../.."])), "outside-rpath"
    )


@kind("a library that is none")
def _(env: Environment, rng: random.Random) -> Expected:
    return extension(env, elf(needed=["libc.so.6"])[: rng.randrange(20, 150)], "broken-binary")


@kind("OpenMP, twice")
def _(env: Environment, rng: random.Random) -> Expected:
    name = rng.choice(["libgomp-9999ffff.so.1", "libiomp5.so", "libomp.so.5"])
    files = {
        f"omp/_x.{EXTENSION}": elf(needed=[name], search="$ORIGIN/../omp.libs"),
        f"omp.libs/{name}": elf(soname=name),
    }
    env.place(env.wheel("omp", "1.0", files=files, tag=TAG))
    paths = (f"{SITE}/omp.libs/{name}", f"{SITE}/gamma.libs")
    return Expected(("duplicate-library",), paths, by=(label(env, "gamma-3.1"), "pip:omp-1.0"), also=("omp",))


@kind("libstdc++ or BLAS, twice", ("conda",))
def _(env: Environment, rng: random.Random) -> Expected:
    name, other = rng.choice(
        [("libstdc++.so.6", "libstdc++-12345678.so.6"), ("libopenblas.so.0", "libopenblas-0a0a0a0a.so")]
    )
    install_record(
        env.root,
        "runtime",
        "13",
        files={
            f"lib/{name}": elf(soname=name),
            f"{SITE}/rt/_r.abi3.so": elf(needed=[name], search="$ORIGIN/../../../.."),
        },
        subdir="linux-64",
    )
    files = {
        f"two/_x.{EXTENSION}": elf(needed=[other], search="$ORIGIN/../two.libs"),
        f"two.libs/{other}": elf(soname=other),
    }
    env.place(env.wheel("two", "1.0", files=files, tag=TAG))
    by = ("conda:runtime-13-0", "pip:two-1.0")
    return Expected(("duplicate-library",), (f"{SITE}/two.libs", "lib"), by=by, also=("two", "runtime"))


# --- scripts and interpreters -----------------------------------------------------------------------------------------


@kind("a script of a python that is gone")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.root / "bin/alpha"
    head = rng.choice(["#!/nowhere/env/bin/python", "#!/bin/sh\n'''exec' /nowhere/bin/python3 \"$0\" \"$@\"\n' '''"])
    file.write_text(f"{head}\nprint()\n")
    return at(env, file, "foreign-shebang")


@kind("a script of another environment's python")
def _(env: Environment, rng: random.Random) -> Expected:
    other = env.folder / "other/bin/python3"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"ELF")
    env.place(
        env.wheel(
            "tool",
            "1.0",
            files={"tool-1.0.data/scripts/tool": b"#!/bin/sh\n"},
            executable=["tool-1.0.data/scripts/tool"],
        )
    )
    (env.root / "bin/tool").write_text(f"#!{other}\nprint()\n")
    return at(env, env.root / "bin/tool", "foreign-shebang", also=("tool",))


@kind("a script that was never rewritten")
def _(env: Environment, rng: random.Random) -> Expected:
    (env.root / "bin/plough").write_text("#!python\nprint()\n")
    return at(env, env.root / "bin/plough", "foreign-shebang")


@kind("the python of a virtual environment is gone", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    (env.root / "bin/python").unlink()
    (env.root / "bin/python").symlink_to("/nowhere/bin/python3")
    return Expected(("broken-interpreter",), ("bin/python", "bin/python3", f"bin/python{MINOR}"), also=("bin",))


@kind("the home of a virtual environment is gone", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.root / "pyvenv.cfg"
    lines = [line if not line.startswith("home") else "home = /nowhere/bin" for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    return at(env, file, "broken-interpreter")


# --- what python reads first ------------------------------------------------------------------------------------------


@kind("a .pth that runs code")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / "zzz_start.pth"
    file.write_text("import base64; exec(base64.b64decode('cGFzcw=='))\n")
    return at(env, file, "pth-runs-code")


@kind("a wheel whose .pth runs code")
def _(env: Environment, rng: random.Random) -> Expected:
    env.place(env.wheel("starter", "1.0", files={"starter_init.pth": b"import os, sys; exec('pass')\n"}))
    return at(env, env.site / "starter_init.pth", "pth-runs-code", also=("starter",))


@kind("a .pth that leads outside")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / "outside.pth"
    file.write_text(f"{rng.choice(['/usr/share', '/nowhere/at/all', '../../../../../..'])}\n")
    return at(env, file, "pth-outside")


@kind("an editable whose working copy is gone")
def _(env: Environment, rng: random.Random) -> Expected:
    source = env.folder / "work"
    (source / "src/mine").mkdir(parents=True)
    url = json.dumps({"url": f"file://{source}", "dir_info": {"editable": True}}).encode()
    files = {"__editable__.mine-1.0.pth": f"{source}/src\n".encode(), "mine-1.0.dist-info/direct_url.json": url}
    env.place(env.wheel("mine", "1.0", files=files))
    shutil.rmtree(source)
    return Expected(("broken-editable",), packages=("mine",), also=(f"{SITE}/__editable__.mine-1.0.pth",))


@kind("an editable through setuptools' finder, gone")
def _(env: Environment, rng: random.Random) -> Expected:
    source = env.folder / "work"
    source.mkdir()
    url = json.dumps({"url": f"file://{source}", "dir_info": {"editable": True}}).encode()
    finder = f"MAPPING: dict[str, str] = {{'mine': '{source}/gone/mine'}}\n".encode()
    start = b"import __editable___mine_1_0_finder; __editable___mine_1_0_finder.install()\n"
    files = {
        "__editable__.mine-1.0.pth": start,
        "__editable___mine_1_0_finder.py": finder,
        "mine-1.0.dist-info/direct_url.json": url,
    }
    env.place(env.wheel("mine", "1.0", files=files))
    return Expected(("broken-editable",), packages=("mine",))


@kind("an egg-link to nowhere")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / "legacy.egg-link"
    file.write_text("/nowhere/legacy\n../")
    return at(env, file, "broken-editable")


@kind("packages of the user's own come first", ("bridge", "conda"))
def _(env: Environment, rng: random.Random) -> Expected:
    install_distribution(env.folder / ".local", SITE, "beta", "0.1")  # as `pip install --user` does
    return Expected(("user-site-shadow",), packages=("beta",))


@kind("PYTHONPATH hides a package")
def _(env: Environment, rng: random.Random) -> Expected:
    folder = env.folder / "path"
    (folder / "beta").mkdir(parents=True)
    (folder / "beta/__init__.py").write_bytes(b"")
    env.environ["PYTHONPATH"] = f"/nowhere:{folder}"
    return Expected(("python-path-shadow",), packages=("beta",))


@kind("PYTHONPATH hides the standard library")
def _(env: Environment, rng: random.Random) -> Expected:
    folder = env.folder / "path"
    folder.mkdir()
    (folder / "random.py").write_bytes(b"")
    env.environ["PYTHONPATH"] = str(folder)
    return Expected(("python-path-shadow",), ("", "None"))


@kind("a module called like the standard library's")
def _(env: Environment, rng: random.Random) -> Expected:
    path = rng.choice(["enum/__init__.py", "dataclasses.py", "typing.py"])
    env.place(env.wheel("backport", "1.0", files={path: b"\n"}))
    return at(env, env.site / path, "standard-library-shadow", also=("backport",))


@kind("a script that hides the standard library")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.root / f"bin/{rng.choice(['random', 'json', 'queue'])}.py"
    file.write_bytes(b"")
    return at(env, file, "standard-library-shadow", "unowned-file")
