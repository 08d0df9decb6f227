"""Further defects: what python imports in place of what it should, eggs, and the settings of an environment."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path

from tests.support.binaries import elf
from tests.support.builders import metadata_text
from tests.support.defect_environments import EXTENSION, SITE, TAG, Environment
from tests.support.defects import ALL, PIPS, RECORDED, Expected, kind

VENDORED = ("libstdc++-0123abcd.so.6", "libquadmath-0123abcd.so.0", "libgfortran-0123abcd.so.5")
__all__ = ["ALL"]

POINTS = ("gone:main", "beta.gone:main", "beta:gone")


@kind("an entry point that imports what is not there")
def entry_point(env: Environment, rng: random.Random) -> Expected:
    group, value = rng.choice(("console_scripts", "gui_scripts", "pytest11")), rng.choice(POINTS)
    value = value if group != "pytest11" else rng.choice(("gone", "beta.gone"))
    text = f"[{group}]\nmine = {value}\n".encode()
    env.place(env.wheel("points", "1.0", files={"points.py": b"", "points-1.0.dist-info/entry_points.txt": text}))
    return Expected(("unmet-import",), (f"{SITE}/points-1.0.dist-info",), packages=("points",))


@kind("a line of a .pth that imports what is not there")
def path_line(env: Environment, rng: random.Random) -> Expected:
    line = rng.choice(
        (
            "import gone",
            "import sys, gone.deep; gone.deep.start()",
            "import os; os.environ.get('X', 'y') == 'y' and __import__('_distutils_hack').add_shim()",
            "import __editable___gone_1_0_finder; __editable___gone_1_0_finder.install()",
        )
    )
    (env.site / "left.pth").write_text(f"{line}\n")
    return Expected(("unmet-import",), (f"{SITE}/left.pth",))


@kind("bytecode of another source, which python does not check")
def stale_bytecode(env: Environment, rng: random.Random) -> Expected:
    source = env.site / rng.choice(("beta/__init__.py", "delta/more/deep.py", "alpha/part1.py"))
    optimized = rng.choice(("", "1", "2"))
    cache = Path(importlib.util.cache_from_source(str(source), optimization=optimized))
    cache.parent.mkdir(exist_ok=True)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")
    cache.write_bytes(head + importlib.util.source_hash(b"other\n") + bytes(40))
    return Expected(("stale-bytecode",), (env.path(cache),))


@kind("bytecode in place of a source")
def orphaned_bytecode(env: Environment, rng: random.Random) -> Expected:
    source = env.site / rng.choice(("delta/more/deep.py", "alpha/part1.py"))
    if rng.random() < 0.5:
        source.unlink()
        source.with_suffix(".pyc").write_bytes(bytes(40))
        return Expected(("orphaned-bytecode",), (env.path(source.with_suffix(".pyc")), env.path(source)))
    ghost = source.with_name("ghost.pyc")
    ghost.write_bytes(bytes(40))
    return Expected(("orphaned-bytecode",), (env.path(ghost),))


@kind("a package or an extension beside a module")
def hidden_module(env: Environment, rng: random.Random) -> Expected:
    module = env.site / rng.choice(("delta/more/deep", "alpha/part1"))
    if rng.random() < 0.5:
        module.mkdir()
        (module / rng.choice(("__init__.py", "__init__.pyc"))).write_bytes(b"")
        return Expected(("hidden-module",), (env.path(module),))
    hiding = module.with_name(f"{module.name}.{EXTENSION}")
    hiding.write_bytes(elf(needed=["libc.so.6"]))
    return Expected(("hidden-module",), (env.path(hiding),))


@kind("an extension with an older library than it needs")
def older_library(env: Environment, rng: random.Random) -> Expected:
    name = rng.choice(VENDORED)
    prefix = {"s": "GLIBCXX_3.4.", "g": "GFORTRAN_", "q": "QUADMATH_1."}[name[3]]
    path = f"fast/_x.{EXTENSION}"
    content = elf(needed=[name], search="$ORIGIN/../fast.libs", versions={name: [f"{prefix}1", f"{prefix}30"]})
    library = elf(soname=name, defines=[f"{prefix}1", f"{prefix}25"])
    env.place(env.wheel("fast", "1.0", files={path: content, f"fast.libs/{name}": library}, tag=TAG))
    return Expected(("library-too-old",), (f"{SITE}/{path}",), packages=("fast",))


@kind("one path of two records, with the same bytes", RECORDED)
def shared_path(env: Environment, rng: random.Random) -> Expected:
    records = {path.name.split("-")[0]: path for path in (env.root / "conda-meta").glob("*.json")}
    names = ("beta", "delta")
    owner, other = rng.sample(names, 2)
    listed = json.loads(records[owner].read_text())["paths_data"]["paths"]
    item = rng.choice([each for each in listed if each["_path"].endswith(".py")])
    document = json.loads(records[other].read_text())
    document["paths_data"]["paths"].append(item)
    records[other].write_text(json.dumps(document))
    return Expected(("shared-file",), (item["_path"],))


@kind("an egg that python does not find", PIPS)
def unlisted_egg(env: Environment, rng: random.Random) -> Expected:
    info = env.site / f"eggy-{rng.randint(1, 9)}.0-py3.egg/EGG-INFO"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_bytes(metadata_text("eggy", "1.0"))
    return Expected(("unseen-distribution",), (env.path(info.parent),))


@kind("a line of easy-install.pth for an egg that is gone")
def gone_egg(env: Environment, rng: random.Random) -> Expected:
    line = rng.choice(("./gone-1.0-py3.egg", "gone-1.0-py3.11-linux-x86_64.egg", f"{env.site}/gone-1.0-py3.egg"))
    (env.site / "easy-install.pth").write_text(f"{line}\n")
    return Expected(("pth-outside",), (f"{SITE}/easy-install.pth",))


@kind("a pin that is not met", RECORDED)
def unmet_pin(env: Environment, rng: random.Random) -> Expected:
    line = rng.choice(("beta <1", "delta >=0.8", "gamma 3.0.*"))
    (env.root / "conda-meta/pinned").write_text(f"# ours\n{line}\n")
    return Expected(("unmet-pin", "broken-setting"), ("conda-meta/pinned",))


@kind("a setting that cannot be read", RECORDED)
def broken_setting(env: Environment, rng: random.Random) -> Expected:
    name, text = rng.choice((("state", "{"), ("state", "[]"), ("state", ""), ("pinned", "beta ==1 [x\n")))
    (env.root / "conda-meta" / name).write_text(text)
    return Expected(("broken-setting",), (f"conda-meta/{name}",))


@kind("a script that activates another place", PIPS)
def former_place(env: Environment, rng: random.Random) -> Expected:
    script = env.root / "bin" / rng.choice(("activate", "activate.fish", "activate.csh"))
    script.write_text(script.read_text().replace(str(env.root), rng.choice(("/former/env", "/a b/env"))))
    return Expected(("foreign-prefix",), (env.path(script),))


@kind("a kernel of Jupyter whose python is gone")
def gone_kernel(env: Environment, rng: random.Random) -> Expected:
    path = env.root / f"share/jupyter/kernels/{rng.choice(('python3', 'mine'))}/kernel.json"
    path.parent.mkdir(parents=True)
    gone = json.dumps({"argv": ["/former/env/bin/python", "-m", "ipykernel_launcher"]})
    path.write_text(rng.choice((gone, "{", '{"argv": []}')))
    return Expected(("broken-kernel",), (env.path(path),), also=("share",))


@kind("certificates that are nowhere", RECORDED)
def no_certificates(env: Environment, rng: random.Random) -> Expected:
    variable = rng.choice(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"))
    if rng.random() < 0.5:
        (env.root / "conda-meta/state").write_text(json.dumps({"env_vars": {variable: "/nowhere/cert.pem"}}))
        return Expected(("missing-certificates",), ("conda-meta/state",))
    env.environ[variable] = str(env.folder / "cert.pem")
    return Expected(("missing-certificates",), packages=(None,))  # type: ignore[arg-type]
