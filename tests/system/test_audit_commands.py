"""Each command that a finding names is run on a real environment: it mends the finding, and changes nothing else."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import marshal
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.version import Version

from bridge.audit.finding import Finding
from bridge.audit.run import audit
from bridge.channels._rattler import detect_virtual_packages
from converters.names import NameMap
from converters.target import Target
from tests.support.binaries import elf
from tests.support.builders import install_record, make_wheel, metadata_text, tree_digest
from tests.support.command_line import clean_environment
from tests.support.defect_environments import EXTENSION, SITE, TAG, Environment, environments
from tests.support.pip import PIP

FAST = f"fast/_x.{EXTENSION}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, bridge_cache: Path) -> Mapping[str, Environment]:
    folder = tmp_path_factory.mktemp("commands")
    return {each.kind: each for each in environments(folder, ("venv", "conda"), bridge_cache)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Damage to an environment.

    :param found: the id and the path of the finding whose command is run; `SITE` may be left out of the path.
    :param begins: how the command begins; `PIP` stands for pip on this environment.
    :param then: the kind of finding that the command leaves, whose command is run too.
    :param touches: names of which one is in each path that the command may change.
    """

    make: Callable[[Environment], object]
    found: tuple[str, str]
    begins: str
    touches: tuple[str, ...]
    where: tuple[str, ...] = ("venv",)
    then: str = ""


def offer(env: Environment, name: str, version: str = "1.0", **parts: object) -> Path:
    """Put a wheel where pip and bridge look for it."""
    return make_wheel(env.folder / "index", name, version, **parts)  # type: ignore[arg-type]


def misfit(content: bytes, name: str = FAST) -> Callable[[Environment], None]:
    """A wheel with a wrong extension module; the index has a right one."""

    def make(env: Environment) -> None:
        files = {name: content, "fast/__init__.py": b""}
        env.place(env.wheel("fast", "1.0", files=files, tag=TAG, requires=["numpy>=1.25"]))
        right = {FAST: elf(needed=["libc.so.6"]), "fast/__init__.py": b""}
        offer(env, "fast", files=right, tag=TAG, requires=["numpy>=1.25"])

    return make


def older(env: Environment, name: str, version: str, **parts: object) -> None:
    """A placed wheel that does not fit, and an older one that does."""
    env.place(env.wheel(name, version, **parts))
    offer(env, name, "0.9")


def of_old_python(env: Environment) -> None:
    info = env.root / "lib/python3.8/site-packages/old-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_bytes(metadata_text("old", "1.0"))
    (info / "RECORD").write_text("old-1.0.dist-info/METADATA,,\nold-1.0.dist-info/RECORD,,\n")
    offer(env, "old", "2.0")


def needy(env: Environment) -> None:
    env.place(env.wheel("needy", "1.0", requires=["absent>=2"]))
    offer(env, "absent", "2.5")


def outdated(env: Environment) -> None:
    """Have pip put both there, one without what the other needs."""
    needy(env)
    env.place(env.wheel("absent", "1.0"))


def upgrade(env: Environment) -> None:
    """As `pip install -U`: the old dist-info goes, if bridge recorded it too."""
    wheel = env.wheel("beta", "2.0", files={"beta/__init__.py": b"X = 2\n", "beta/new.py": b"\n"})
    env.pip("install", "--no-deps", "--upgrade", wheel)


def remains(env: Environment) -> None:
    (env.site / "~elta").mkdir()
    (env.site / "~elta/x.py").write_bytes(b"")


def unchecked(env: Environment) -> None:
    """Bytecode of another source that python runs without a look at the source (PEP 552)."""
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(b"X = 9\n")
    cache = Path(importlib.util.cache_from_source(str(env.site / "beta/__init__.py")))
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(head + marshal.dumps(compile("X = 9\n", "beta", "exec")))


def stale(env: Environment) -> None:
    info = env.site / "delta-0.6.dist-info"
    info.mkdir()
    (info / "METADATA").write_bytes(metadata_text("delta", "0.6"))
    (info / "RECORD").write_text("delta-0.6.dist-info/METADATA,,\n")


def pip_put(env: Environment) -> None:
    env.place(env.wheel("extra", "1.0", files={"extra/__init__.py": b""}))


def hide(env: Environment) -> None:
    (env.site / "delta/more/deep").mkdir()
    (env.site / "delta/more/deep/__init__.py").write_bytes(b"")


def egg(env: Environment) -> Path:
    info = env.site / "eggy-1.5-py3.egg/EGG-INFO"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_bytes(metadata_text("eggy", "1.5"))
    offer(env, "eggy", "1.5")
    return info.parent


def gone_egg(env: Environment) -> None:
    lines = [f"./{egg(env).name}", f"{env.site}/gone-1.0-py3.egg", "./gone-1.0-py3.egg.old"]
    (env.site / "gone-1.0-py3.egg.old").mkdir()
    (env.site / "easy-install.pth").write_text("\n".join([*lines, ""]))


def compiled(env: Environment) -> None:
    """An extension that needs a newer libstdc++ than its wheel brings."""
    name = "libstdc++-0123abcd.so.6"
    wanted, library = {name: ["GLIBCXX_3.4.32"]}, elf(soname=name, defines=["GLIBCXX_3.4.25"])
    content = elf(needed=[name], search="$ORIGIN/../fast.libs", versions=wanted)
    older(env, "fast", "1.0", files={FAST: content, f"fast.libs/{name}": library}, tag=TAG)


def pin(env: Environment) -> None:
    (env.root / "conda-meta/pinned").write_text("delta <0.7\n")
    offer(env, "delta", "0.6")


def copied(env: Environment) -> None:
    """The activation script of the environment that this one was copied from."""
    script = env.root / "bin/activate"
    script.write_text(script.read_text().replace(str(env.root), "/a/former.place"))


def record(env: Environment, name: str) -> Path:
    """The conda-meta record of a package."""
    return next(each for each in (env.root / "conda-meta").glob("*.json") if each.name.startswith(f"{name}-"))


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def intrude(env: Environment) -> None:
    """As `pip install` of another project that has a file of this one."""
    env.place(env.wheel("intruder", "1.0", files={"beta/data.txt": b"other", "intruder.py": b""}))


def recorded(env: Environment, name: str, version: str, newer: str, **parts: object) -> None:
    """A wheel that bridge installed and that does not fit, and a newer one that does."""
    wheel = env.wheel(name, version, **parts)
    env.place(wheel, "bridge")
    rows = (env.site / f"{name}-{version}.dist-info/RECORD").read_text().splitlines()
    files = [f"{SITE}/{row.partition(',')[0]}" for row in rows]
    install_record(
        env.root,
        name,
        version,
        build="py3_none_any_0",
        files={path: (env.root / path).read_bytes() for path in files},
        write=False,
        subdir="noarch",
        noarch="python",
        fn=wheel.name,
        url=wheel.as_uri(),
        channel=wheel.parent.as_uri(),
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        requested_specs=[name],
        purls=[f"pkg:pypi/{name}@{version}"],
    )
    offer(env, name, newer)


def second_record(env: Environment) -> None:
    """As mamba leaves it: the record of an older version beside the one that counts."""
    was = record(env, "libzed")
    document = json.loads(was.read_text()) | {"version": "1.2", "paths_data": {"paths": [], "paths_version": 1}}
    document |= {"fn": "libzed-1.2-0.conda", "url": document["url"].replace("libzed-1.3", "libzed-1.2"), "files": []}
    was.with_name(was.name.replace("libzed-1.3", "libzed-1.2")).write_text(json.dumps(document))


def wrong_size(env: Environment) -> None:
    path = env.site / "beta-1.5.dist-info/RECORD"
    rows = [
        row.rpartition(",")[0] + ",7" if row.startswith("beta/data.txt,") else row
        for row in path.read_text().split("\n")
    ]
    path.write_text("\n".join(rows))


def unmet_conda(env: Environment) -> None:
    """The record of what a conda package needs was lost with its files."""
    was = record(env, "libzed")
    for path in json.loads(was.read_text())["paths_data"]["paths"]:
        (env.root / path["_path"]).unlink()
    was.unlink()


def editable(env: Environment) -> None:
    url = json.dumps({"url": f"file://{env.folder}/gone", "dir_info": {"editable": True}}).encode()
    wheel = env.wheel("mine", "1.0", files={"__editable__.mine.pth": f"{env.folder}/gone\n".encode()})
    env.place(wheel)
    info = env.site / "mine-1.0.dist-info"
    (info / "direct_url.json").write_bytes(url)
    with (info / "RECORD").open("a") as listing:
        listing.write("mine-1.0.dist-info/direct_url.json,,\n")


def user_package(env: Environment) -> None:
    """`pip install --user` of another version."""
    site = env.folder / ".local" / SITE
    wheel = env.wheel("beta", "9.0", files={"beta/__init__.py": b"X = 9\n"})
    env.pip("install", "--no-deps", "--target", site, wheel)


def cache_of(module: str) -> str:
    return str(Path(importlib.util.cache_from_source(module)))


OTHER_PYTHON = ">=3.99"
DAMAGES = {
    "a module of an archive named by its URL": Damage(
        make=lambda env: (env.site / "beta/__init__.py").write_bytes(b"changed"),
        found=("modified-file", "beta/__init__.py"),
        begins="PIP install --force-reinstall --no-deps beta @ file://",
        touches=("beta",),
    ),
    "RECORD of an archive named by its URL": Damage(
        make=lambda env: (env.site / "delta-0.7.dist-info/RECORD").unlink(),
        found=("distribution-without-record", "delta-0.7.dist-info"),
        begins="PIP install --ignore-installed --no-deps delta @ file://",
        touches=("delta", "bin/plough"),
    ),
    "an extension for another processor": Damage(
        make=misfit(elf(machine="aarch64", needed=["libc.so.6"])),
        found=("foreign-binary", FAST),
        begins="PIP install --upgrade --force-reinstall --no-deps fast",
        touches=("fast",),
    ),
    "an extension of another python": Damage(
        make=misfit(elf(), "fast/_x.cpython-38-x86_64-linux-gnu.so"),
        found=("extension-tag", "fast/_x.cpython-38-x86_64-linux-gnu.so"),
        begins="PIP install --upgrade --force-reinstall --no-deps fast",
        touches=("fast",),
        where=("venv", "conda"),
    ),
    "made for another python": Damage(
        make=lambda env: older(env, "modern", "1.0", requires_python=OTHER_PYTHON),
        found=("requires-python", "modern-1.0.dist-info"),
        begins="PIP install --upgrade --force-reinstall --no-deps modern",
        touches=("modern",),
    ),
    "a wheel for another platform": Damage(
        make=lambda env: older(env, "foreign", "1.0", tag="cp311-cp311-win_amd64"),
        found=("wheel-tag", "foreign-1.0.dist-info"),
        begins="PIP install --upgrade --force-reinstall --no-deps foreign",
        touches=("foreign",),
    ),
    "a distribution of another python": Damage(
        make=of_old_python,
        found=("unseen-distribution", "/lib/python3.8/site-packages/old-1.0.dist-info"),
        begins="PIP install old",
        touches=("old",),
    ),
    "a distribution of another python, with records": Damage(
        make=of_old_python,
        found=("unseen-distribution", "/lib/python3.8/site-packages/old-1.0.dist-info"),
        begins="bridge install pypi:old",
        touches=("old", "conda-meta/"),
        where=("conda",),
    ),
    "a requirement that is absent": Damage(
        make=needy,
        found=("unmet-requirement", "needy-1.0.dist-info"),
        begins="PIP install absent>=2",
        touches=("absent",),
    ),
    "a requirement that is absent, with records": Damage(
        make=needy,
        found=("unmet-requirement", "needy-1.0.dist-info"),
        begins="bridge install pypi:absent>=2",
        touches=("absent", "conda-meta/"),
        where=("conda",),
    ),
    "a requirement that a version of pip's does not meet": Damage(
        make=outdated,
        found=("unmet-requirement", "needy-1.0.dist-info"),
        begins="bridge adopt absent",
        then="unmet-requirement",
        touches=("absent", "conda-meta/"),
        where=("conda",),
    ),
    "pip upgraded a package with a record": Damage(
        make=upgrade,
        found=("clobbered-file", "beta/__init__.py"),
        begins="bridge adopt beta",
        touches=("beta", "conda-meta/"),
        where=("conda",),
    ),
    "pip installed a package": Damage(
        make=pip_put,
        found=("unmanaged-distribution", "extra-1.0.dist-info"),
        begins="bridge adopt extra",
        touches=("extra", "conda-meta/"),
        where=("conda",),
    ),
    "remains of pip": Damage(make=remains, found=("leftover", "~elta"), begins="rm -r", touches=("~elta",)),
    "a stale dist-info": Damage(
        make=stale,
        found=("duplicate-distribution", "delta-0.6.dist-info"),
        begins="rm -r",
        touches=("delta-0.6",),
        where=("venv", "conda"),
    ),
    "bytecode of another source": Damage(
        make=unchecked,
        found=("stale-bytecode", cache_of("beta/__init__.py")),
        begins="rm -r",
        touches=("beta/__pycache__",),
    ),
    "bytecode of another source, with records": Damage(
        make=unchecked,
        found=("stale-bytecode", cache_of("beta/__init__.py")),
        begins="bridge audit --fix",
        touches=("beta/__pycache__", "conda-meta/"),
        where=("conda",),
    ),
    "bytecode without a source": Damage(
        make=lambda env: (env.site / "beta/ghost.pyc").write_bytes(b""),
        found=("orphaned-bytecode", "beta/ghost.pyc"),
        begins="rm -r",
        touches=("beta/ghost.pyc",),
        where=("venv", "conda"),
    ),
    "a package beside a module": Damage(
        make=hide,
        found=("hidden-module", "delta/more/deep"),
        begins="rm -r",
        touches=("delta/more/deep",),
        where=("venv", "conda"),
    ),
    "what setuptools left behind": Damage(
        make=lambda env: (env.site / "distutils-precedence.pth").write_text("import _distutils_hack\n"),
        found=("unmet-import", "distutils-precedence.pth"),
        begins="rm -r",
        touches=("distutils-precedence.pth",),
        where=("venv", "conda"),
    ),
    "a script that activates the former place": Damage(
        make=copied,
        found=("foreign-prefix", "/bin/activate"),
        begins="sed -i",
        touches=("bin/activate",),
    ),
    "pip wrote another project over a package": Damage(
        make=intrude,
        found=("clobbered-file", "beta/data.txt"),
        begins="PIP uninstall --yes intruder",
        touches=("beta", "intruder", "conda-meta/"),
        where=("conda",),
        then="missing-file",
    ),
    "a copy of a record": Damage(
        make=lambda env: shutil.copy(record(env, "libzed"), env.root / "conda-meta/libzed-1.3-0 (1).json"),
        found=("foreign-file", "/conda-meta/libzed-1.3-0 (1).json"),
        begins="bridge audit --fix",
        touches=("conda-meta/",),
        where=("conda",),
    ),
    "JSON of another tool in conda-meta": Damage(
        make=lambda env: (env.root / "conda-meta/package.json").write_text('{"name": "x", "version": "1"}'),
        found=("foreign-file", "/conda-meta/package.json"),
        begins="bridge audit --fix",
        touches=("conda-meta/",),
        where=("conda",),
    ),
    "a record under another name": Damage(
        make=lambda env: record(env, "libzed").rename(env.root / "conda-meta/other-9-9.json"),
        found=("broken-record", "/conda-meta/other-9-9.json"),
        begins="mv -n",
        touches=("conda-meta/",),
        where=("conda",),
    ),
    "an empty record": Damage(
        make=lambda env: record(env, "libzed").write_bytes(b""),
        found=("broken-record", "/conda-meta/libzed-1.3-0.json"),
        begins="bridge audit --fix",
        touches=("libzed", "conda-meta/"),
        where=("conda",),
    ),
    "two records of one package": Damage(
        make=second_record,
        found=("duplicate-record", "/conda-meta/libzed-1.2-0.json"),
        begins="bridge audit --fix",
        touches=("conda-meta/",),
        where=("conda",),
    ),
    "a size that is wrong": Damage(
        make=wrong_size,
        found=("record-lies", "beta/data.txt"),
        begins="PIP install --force-reinstall --no-deps beta",
        touches=("beta",),
    ),
    "what a conda package needs is gone": Damage(
        make=unmet_conda,
        found=("unmet-requirement", "/conda-meta/zedtool-2.0-0.json"),
        begins="bridge install conda:libzed",
        touches=("libzed", "share/zed", "conda-meta/"),
        where=("conda",),
    ),
    "a link to a file that is gone": Damage(
        make=lambda env: (env.root / "lib/libzed.so.1.3").unlink(),
        found=("broken-link", "/lib/libzed.so"),
        begins="bridge audit --fix",
        touches=("libzed", "conda-meta/"),
        where=("conda",),
    ),
    "a link out of the environment": Damage(
        make=lambda env: relink(env.root / "lib/libzed.so", "/usr/bin/env"),
        found=("modified-file", "/lib/libzed.so"),
        begins="bridge audit --fix",
        touches=("libzed", "conda-meta/"),
        where=("conda",),
    ),
    "a recorded wheel for another python": Damage(
        make=lambda env: recorded(env, "modern", "1.0", "1.1", requires_python=OTHER_PYTHON),
        found=("requires-python", "modern-1.0.dist-info"),
        begins="bridge update modern",
        touches=("modern", "conda-meta/"),
        where=("conda",),
    ),
    "a recorded wheel for another platform": Damage(
        make=lambda env: recorded(env, "foreign", "1.0", "1.1", tag="cp311-cp311-win_amd64"),
        found=("wheel-tag", "foreign-1.0.dist-info"),
        begins="bridge update foreign",
        touches=("foreign", "conda-meta/"),
        where=("conda",),
    ),
    "a recorded extension for a newer glibc": Damage(
        make=lambda env: recorded(env, "fast", "1.0", "1.1", files={FAST: elf(glibc="2.99")}, tag=TAG),
        found=("glibc-too-old", FAST),
        begins="bridge update fast",
        touches=("fast", "conda-meta/"),
        where=("conda",),
    ),
    "an extension for a newer glibc": Damage(
        make=misfit(elf(glibc="2.99")),
        found=("glibc-too-old", FAST),
        begins="PIP install --upgrade --force-reinstall --no-deps fast",
        touches=("fast",),
    ),
    "an extension for numpy 1": Damage(
        make=misfit(elf(payload=b"\0numpy.core._multiarray_umath\0")),
        found=("numpy-abi", FAST),
        begins="PIP install --upgrade --force-reinstall --no-deps fast",
        touches=("fast",),
    ),
    "a working copy that is gone": Damage(
        make=editable,
        found=("broken-editable", "mine-1.0.dist-info"),
        begins="PIP uninstall --yes mine",
        touches=("mine",),
    ),
    "a package of the user's that comes first": Damage(
        make=user_package,
        found=("user-site-shadow", "beta-1.5.dist-info"),
        begins="PIP uninstall --yes beta",
        touches=("nothing of the environment",),
        where=("conda",),
    ),
    "a pin that is not met": Damage(
        make=pin,
        found=("unmet-pin", "/conda-meta/pinned"),
        begins="bridge update delta",
        touches=("delta", "conda-meta/", "bin/plough"),
        where=("conda",),
    ),
    "variables that cannot be read": Damage(
        make=lambda env: (env.root / "conda-meta/state").write_text("{"),
        found=("broken-setting", "/conda-meta/state"),
        begins="mv -n",
        touches=("conda-meta/state",),
        where=("conda",),
    ),
    "a line for an egg that is gone": Damage(
        make=gone_egg,
        found=("pth-outside", "easy-install.pth"),
        begins="sed -i",
        touches=("easy-install.pth",),
    ),
    "an egg that no line names": Damage(
        make=egg,
        found=("unseen-distribution", "eggy-1.5-py3.egg"),
        begins="PIP install --ignore-installed --no-deps eggy",
        touches=("eggy",),
    ),
    "a libstdc++ that is too old": Damage(
        make=compiled,
        found=("library-too-old", FAST),
        begins="PIP install --upgrade --force-reinstall --no-deps fast",
        touches=("fast",),
    ),
    "a script that is not executable": Damage(
        make=lambda env: (env.root / "bin/plough").chmod(0o644),
        found=("not-executable", "/bin/plough"),
        begins="chmod +x",
        touches=("bin/plough",),
    ),
    "a file that everyone may change": Damage(
        make=lambda env: (env.site / "alpha/part1.py").chmod(0o666),
        found=("world-writable", "alpha/part1.py"),
        begins="chmod o-w",
        touches=("alpha/part1.py",),
    ),
}


# Commands without pip or bridge, and some of those: the others are slow.
QUICK = ("rm", "chmod", "sed", "mv")
SAMPLE = ("a copy of a record", "RECORD of an archive named by its URL", "pip installed a package")


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [] if name in SAMPLE or DAMAGES[name].begins.split()[0] in QUICK else [pytest.mark.slow]


@pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param(name, kind, marks=marks(name)) for name, damage in DAMAGES.items() for kind in damage.where],
)
def test_the_command_mends_it_and_changes_nothing_else(
    name: str, kind: str, made: Mapping[str, Environment], bridge_cache: Path
) -> None:
    damage, env = DAMAGES[name], made[kind]
    env.restore()
    (env.folder / "index").mkdir()
    damage.make(env)
    before, tree = _audit(env), tree_digest(env.root)
    path = damage.found[1].removeprefix("/") if damage.found[1].startswith("/") else f"{SITE}/{damage.found[1]}"
    finding = next((each for each in before if (each.id, each.path) == (damage.found[0], path)), None)
    assert finding is not None, before
    words = [*finding.repair]
    if not words and Version("23.1") > PIP:
        pytest.skip(f"pip {PIP} records no hash of a local wheel, so nothing can be named that is the same")
    pip = ["pip", "--python", str(env.python)]
    said = " ".join(["PIP", *words[3:]] if words[:3] == pip else words).replace(f"-p {env.root} ", "")
    assert said.startswith(damage.begins), words
    _run(words, env, bridge_cache)
    if damage.then:
        left = next(each for each in _audit(env) if each.id == damage.then)
        _run([*left.repair], env, bridge_cache)
    after = _audit(env)
    assert not [each for each in after if _key(each) == _key(finding)], "it is still found"
    worse = {_key(each) for each in after if each.level != "info"} - {_key(each) for each in before}
    assert not worse, after
    now = tree_digest(env.root)
    changed = {each for each in tree.keys() | now.keys() if tree.get(each) != now.get(each)}
    changed = {each for each in changed if "__pycache__" not in each}  # written by a python that ran
    assert not {each for each in changed if not any(touched in each for touched in damage.touches)}


def _run(words: list[str], env: Environment, cache: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words] if words[0] in {"pip", "bridge"} else words,
        env=_environ(env, cache),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _audit(env: Environment) -> tuple[Finding, ...]:
    target = Target(subdir="linux-64", virtual_packages=tuple(detect_virtual_packages()))
    return audit(env.root, target, NameMap.empty(), environ=env.environ).findings


def _key(finding: Finding) -> object:
    return finding.id, finding.level, finding.path, finding.package


def _environ(env: Environment, cache: Path) -> dict[str, str]:
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    offline["PIP_FIND_LINKS"] = f"{env.folder / 'index'} {env.wheels}"
    return clean_environment() | offline | {"BRIDGE_CACHE_DIR": str(cache), "HOME": str(env.folder)}
