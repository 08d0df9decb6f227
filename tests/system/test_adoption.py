"""`bridge adopt`: what pip put into an environment on its own gets an owner; its files stay as they are."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.builders import install_distribution, make_python, make_repodata, make_wheel, tree_digest
from tests.support.command_line import Bridge, clean_environment
from tests.support.distributions import damage
from tests.support.environments import MINOR, SITE, Environment
from tests.support.pip import pip_of

FILES = {"demo/__init__.py": b"X = 1\ndef main(): ...\n", "demo/data.txt": b"text"}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """With a channel of its own, which is empty, and an index that is a folder of wheels."""
    make_repodata(tmp_path / "channel")
    return Bridge.of_folder(tmp_path)


def pip(environment: Environment, *words: object) -> None:
    """The pip of this interpreter, acting on the environment behind bridge's back."""
    command = [*pip_of(environment.root / "bin/python"), *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, env=clean_environment())


def installed_by_pip(environment: Environment, *, version: str = "1.0", requires: tuple[str, ...] = ()) -> Path:
    scripts = {"demo": "demo:main"}
    archive = make_wheel(
        environment.work / "mine", "demo", version, files=FILES, requires=requires, console_scripts=scripts
    )
    pip(environment, "install", "--no-deps", "--no-index", archive)
    return archive


def forget_where(environment: Environment) -> None:
    """A wheel from a file has a direct_url.json (PEP 610); from an index it has none."""
    info = environment.root / SITE / "demo-1.0.dist-info"
    (info / "direct_url.json").unlink()
    lines = (info / "RECORD").read_text().splitlines(keepends=True)
    (info / "RECORD").write_text("".join(line for line in lines if "direct_url" not in line))


def content(environment: Environment) -> dict[str, tuple[str, str]]:
    """All but records and what is bridge's own."""
    told = ("conda-meta/", f"{SITE}/demo-1.0.dist-info/RECORD", f"{SITE}/demo-1.0.dist-info/INSTALLER")
    return {path: kind for path, kind in tree_digest(environment.root).items() if not path.startswith(told)}


@pytest.mark.slow
def test_it_is_owned_from_then_on_and_no_file_of_it_changes(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    before = content(environment)
    done = bridge("adopt", "-p", environment.root, "--json")
    assert done.status == 0, done.err
    assert [step["operation"] for step in done.document["operations"]] == ["install"]
    assert content(environment) == before
    package = environment.installed("demo")
    assert package.record.ecosystem == "wheel"
    assert package.requested == ("pypi:demo",)
    assert {f"{SITE}/demo/__init__.py", "bin/demo"} <= {entry.path for entry in package.entries}
    assert (environment.root / SITE / "demo-1.0.dist-info/INSTALLER").read_text() == "bridge\n"
    report = bridge("audit", "-p", environment.root, "--json", "--fail-on", "never").document
    assert [found for found in report["findings"] if "demo" in found["path"]] == []
    assert bridge("adopt", "-p", environment.root, "--json").document["operations"] == []
    from rattler import PrefixRecord

    PrefixRecord.from_path(environment.root / package.meta_path)
    pip(environment, "uninstall", "--yes", "demo")
    assert not (environment.root / SITE / "demo").exists()


@pytest.mark.slow
def test_where_it_came_from_is_known_where_an_index_has_the_same_bytes(
    bridge: Bridge, environment: Environment
) -> None:
    archive = installed_by_pip(environment)
    forget_where(environment)
    served = environment.work / "wheels" / archive.name
    served.write_bytes(archive.read_bytes())
    assert bridge("adopt", "-p", environment.root, "demo").status == 0
    record = environment.installed("demo").record
    assert record.url == served.as_uri()
    assert record.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()


@pytest.mark.slow
def test_another_wheel_of_that_version_is_not_where_it_came_from(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    forget_where(environment)
    make_wheel(environment.work / "wheels", "demo", "1.0", files={"demo/__init__.py": b"another"})
    assert bridge("adopt", "-p", environment.root, "demo").status == 0
    record = environment.installed("demo").record
    assert record.sha256 is None
    assert record.url.endswith("/demo-1.0.dist-info")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda site: (site / "demo/__init__.py").write_bytes(b"X = 2\n"), "was changed since it was installed"),
        (lambda site: (site / "demo/data.txt").unlink(), "is missing"),
        (lambda site: (site / "demo-1.0.dist-info/RECORD").unlink(), "has no RECORD"),
    ],
)
@pytest.mark.parametrize("names", [(), ("demo",)])
def test_what_is_not_whole_is_refused(
    bridge: Bridge, environment: Environment, damage: object, said: str, names: tuple[str, ...]
) -> None:
    installed_by_pip(environment)
    damage(environment.root / SITE)  # type: ignore[operator] # a function of the site-packages folder
    before = tree_digest(environment.root)
    done = bridge("adopt", "-p", environment.root, *names)
    assert done.status == 4, done.err
    assert "error[not-adoptable]" in done.err
    assert said in done.err
    assert tree_digest(environment.root) == before


@pytest.mark.slow
def test_what_can_be_is_adopted_and_the_rest_is_named(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    pip(environment, "install", "--no-index", make_wheel(environment.work / "mine", "other", "1.0"))
    (environment.root / SITE / "other/__init__.py").unlink()
    done = bridge("adopt", "-p", environment.root)
    assert done.status == 0, done.err
    assert "warning: not adopted: other 1.0" in done.err
    assert [each.record.name for each in environment.state.installed] == ["demo", "python"]


@pytest.mark.slow
def test_a_package_that_pip_replaced_gives_way(bridge: Bridge, environment: Environment) -> None:
    """Pip took the dist-info of bridge's package away: its record claims what is not there."""
    old = make_wheel(environment.work / "old", "demo", "0.5", files={"demo/__init__.py": b"", "demo/old.py": b""})
    assert bridge("install", "-p", environment.root, old).status == 0
    installed_by_pip(environment)
    assert bridge("audit", "-p", environment.root, "--fail-on", "error").status == 11
    done = bridge("adopt", "-p", environment.root, "--json")
    assert done.status == 0, done.err
    assert [step["operation"] for step in done.document["operations"]] == ["change"]
    assert environment.installed("demo").record.version == "1.0"
    assert not list((environment.root / "conda-meta").glob("demo-0.5*"))


def test_what_another_package_owns_is_not_adopted(bridge: Bridge, environment: Environment) -> None:
    files = {"demo/__init__.py": b"of another"}
    other = make_wheel(environment.work / "mine", "other", "1.0", files=files)
    assert bridge("install", "-p", environment.root, other).status == 0
    installed_by_pip(environment)
    done = bridge("adopt", "-p", environment.root, "demo")
    assert done.status == 4, done.err
    assert "belongs to wheel:other-1.0" in done.err


def test_what_bridge_installed_is_no_matter_for_it(bridge: Bridge, environment: Environment) -> None:
    done = bridge("adopt", "-p", environment.root, "python")
    assert done.status == 2
    assert "error[not-unmanaged]" in done.err


@pytest.mark.slow
def test_remove_takes_it_away_with_what_came_for_its_sake(bridge: Bridge, environment: Environment) -> None:
    before = content(environment)
    need = make_wheel(environment.work / "wheels", "need", "1.0")
    demo = make_wheel(environment.work / "mine", "demo", "1.0", files=FILES, requires=["need"])
    pip(environment, "install", "--no-index", "--find-links", need.parent, demo)
    done = bridge("remove", "-p", environment.root, "need")
    assert done.status == 6
    assert "demo need" in done.err
    planned = bridge("remove", "-p", environment.root, "demo", "--dry-run")
    assert "demo  1.0  pypi_0  wheel" in planned.err, planned.err
    done = bridge("remove", "-p", environment.root, "demo", "--json")
    assert done.status == 0, done.err
    # No command of the history added the python of this environment: it stays.
    assert [step["old"]["name"] for step in done.document["operations"]] == ["demo", "need"]
    assert content(environment).keys() == before.keys()
    history = (environment.root / "conda-meta/history").read_text()
    assert "-pypi/pypi::demo-1.0-pypi_0" in history


@pytest.mark.slow
def test_a_dry_run_writes_nothing(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    before = tree_digest(environment.root)
    done = bridge("adopt", "-p", environment.root, "--dry-run", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["dry_run"] is True
    assert tree_digest(environment.root) == before


# --- what uv and editable installations leave -------------------------------------------------------------------------


def linked_into_a_cache(environment: Environment) -> Path:
    """As uv leaves it with link mode `symlink`: every file but RECORD is a link into the cache."""
    cache = environment.work / "uv-cache"
    site = environment.root / SITE
    for path in [*(site / "demo").glob("*.*"), site / "demo-1.0.dist-info/METADATA", site / "demo-1.0.dist-info/WHEEL"]:
        target = cache / path.relative_to(site)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        path.symlink_to(target)
    return cache


@pytest.mark.slow
def test_links_into_a_cache_become_files_of_its_own(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    forget_where(environment)
    cache = linked_into_a_cache(environment)
    report = bridge("audit", "-p", environment.root, "--json", "--fail-on", "never").document
    repairs = [found["repair"] for found in report["findings"] if found["id"] == "unmanaged-distribution"]
    assert ["bridge", "adopt"] in [words[:2] for words in repairs]
    done = bridge("adopt", "-p", environment.root, "demo")
    assert done.status == 0, done.err
    shutil.rmtree(cache)
    assert damage(environment.root / SITE) == []
    assert not [path for path in (environment.root / SITE).rglob("*") if path.is_symlink()]
    assert not list(environment.root.rglob("*.bridge-saved-*"))
    assert (environment.root / SITE / "demo/data.txt").read_bytes() == FILES["demo/data.txt"]


@pytest.mark.slow
def test_a_link_with_other_bytes_is_no_file_of_it(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    cache = linked_into_a_cache(environment)
    (cache / "demo/data.txt").write_bytes(b"other")
    done = bridge("adopt", "-p", environment.root, "demo")
    assert done.status == 4
    assert "demo/data.txt was changed since it was installed" in done.err


@pytest.mark.slow
def test_removing_links_into_a_cache_keeps_no_copy_of_them(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    cache = linked_into_a_cache(environment)
    done = bridge("remove", "-p", environment.root, "demo")
    assert done.status == 0, done.err
    assert not (environment.root / SITE / "demo").exists()
    assert not list((environment.root / SITE).rglob("*.bridge-saved-*"))
    assert (cache / "demo/data.txt").read_bytes() == FILES["demo/data.txt"]


@pytest.mark.slow
def test_files_that_share_their_inode_with_a_cache(bridge: Bridge, environment: Environment) -> None:
    """Uv's link mode `hardlink`: an upgrade must not write through to the cache."""
    installed_by_pip(environment)
    cached = environment.work / "cached.py"
    cached.hardlink_to(environment.root / SITE / "demo/__init__.py")
    assert bridge("adopt", "-p", environment.root, "demo").status == 0
    new = make_wheel(environment.work / "new", "demo", "2.0", files={"demo/__init__.py": b"X = 2\n"})
    done = bridge("install", "-p", environment.root, new)
    assert done.status == 0, done.err
    assert cached.read_bytes() == FILES["demo/__init__.py"]
    assert (environment.root / SITE / "demo/__init__.py").read_bytes() == b"X = 2\n"


@pytest.mark.slow
def test_an_adopted_editable_stays_editable(bridge: Bridge, environment: Environment) -> None:
    source = environment.work / "source"
    (source / "demo").mkdir(parents=True)
    (source / "demo/__init__.py").write_text("X = 'source'\n")
    finder = {"__editable__.demo-1.0.pth": f"{source}\n".encode(), "__editable___demo_1_0_finder.py": b"M = {}\n"}
    direct = {"url": source.as_uri(), "dir_info": {"editable": True}}
    text = json.dumps(direct).encode()
    info = install_distribution(
        environment.root, SITE, "demo", "1.0", files={**finder, "demo-1.0.dist-info/direct_url.json": text}
    )
    done = bridge("adopt", "-p", environment.root, "demo")
    assert done.status == 0, done.err
    assert json.loads((info / "direct_url.json").read_text()) == direct
    exported = bridge("export", "-p", environment.root, "--format", "requirements")
    assert f"-e {source.as_uri()}" in exported.out
    assert damage(environment.root / SITE) == []
    make_wheel(environment.work / "wheels", "demo", "2.0")
    extra = make_wheel(environment.work / "mine", "extra", "1.0")
    for words in (("install", extra), ("update",)):
        done = bridge(words[0], "-p", environment.root, *words[1:])
        assert done.status == 0, done.err
        assert environment.run("python", "-c", "import demo; print(demo.X)") == "source"
    done = bridge("remove", "-p", environment.root, "demo")
    assert done.status == 0, done.err
    assert (source / "demo/__init__.py").is_file()
    assert not [path for path in (environment.root / SITE).iterdir() if "demo" in path.name]


def test_bytecode_of_a_shared_folder_stays_with_its_module(bridge: Bridge, environment: Environment) -> None:
    """RECORD of an installer that compiled nothing lists no cache; two distributions share the folder of theirs."""
    for name in ("one", "two"):
        install_distribution(environment.root, SITE, name, "1.0", files={f"space/{name}.py": b"X = 1\n"})
    environment.run("python", "-m", "compileall", "-q", str(environment.root / SITE / "space"))
    caches = environment.root / SITE / "space/__pycache__"
    assert len(list(caches.iterdir())) == 2
    assert bridge("adopt", "-p", environment.root).status == 0
    assert bridge("remove", "-p", environment.root, "one").status == 0
    assert [path.name.partition(".")[0] for path in caches.iterdir()] == ["two"]
    assert damage(environment.root / SITE) == []


def test_bytecode_that_the_wheel_brought_and_pip_compiled_again(bridge: Bridge, environment: Environment) -> None:
    """The wheel of numpy 1.26.4 has such a file; pip leaves the wheel's row in RECORD, and a row of its own."""
    tag = f"cpython-{MINOR.replace('.', '')}.pyc"
    brought = {"demo/__init__.py": b"X = 1\n", f"demo/__pycache__/__init__.{tag}": b"bytecode of another machine"}
    archive = make_wheel(environment.work / "mine", "demo", "1.0", files=brought)
    pip(environment, "install", "--no-deps", "--no-index", "--compile", archive)
    rows = (environment.root / SITE / "demo-1.0.dist-info/RECORD").read_text().splitlines()
    assert len([row for row in rows if row.startswith("demo/__pycache__/__init__.")]) == 2
    assert "modified-file pip:demo" not in bridge("audit", "-p", environment.root, "-v").out
    adopted = bridge("adopt", "-p", environment.root, "demo")
    assert adopted.status == 0, adopted.err
    assert "demo" not in bridge("audit", "-p", environment.root, "-v").out


@pytest.mark.slow
def test_what_no_index_has_blocks_only_what_must_install_it_again(bridge: Bridge, tmp_path: Path) -> None:
    channel, root = tmp_path / "channel", tmp_path / "made"
    for minor in ("3.12", "3.13"):
        make_python(channel, minor)
    make_repodata(channel)
    assert bridge("create", "-p", root, "python=3.12").status == 0
    install_distribution(root, "lib/python3.12/site-packages", "demo", "1.0", files={"demo.py": b"X = 1\n"})
    assert bridge("adopt", "-p", root).status == 0
    make_wheel(tmp_path / "wheels", "other", "1.0")
    assert bridge("install", "-p", root, "pypi:other").status == 0
    assert bridge("update", "-p", root).status == 0
    refused = bridge("install", "-p", root, "python=3.13", "--json")
    error = refused.document["error"]
    assert (refused.status, error["id"]) == (10, "no-archive")
    assert f"bridge remove -p {root} demo" in error["hint"]
    assert (root / "lib/python3.12/site-packages/demo.py").is_file()
    wheel = make_wheel(tmp_path / "mine", "demo", "1.0", files={"demo.py": b"X = 1\n"})
    done = bridge("install", "-p", root, "python=3.13", wheel)
    assert done.status == 0, done.err
    assert (root / "lib/python3.13/site-packages/demo.py").is_file()
    assert not (root / "lib/python3.12").exists()
