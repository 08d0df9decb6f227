"""An environment, written in each format that can hold it, and made again of that: the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bridge.prefix.chosen import CHOICE
from tests.fault.commands import make_packages
from tests.support.builders import make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge
from tests.support.prefix_trees import tree
from tests.support.projects import commit, make_project, make_repository
from tests.support.sdists import make_sdist

# The format's file → what the environment must have before, and what the format has no place for.
FORMATS: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "bridge.lock": ((), frozenset()),
    "conda-lock.yml": ((), frozenset({"requested"})),
    "explicit.txt": ((), frozenset({"requested", "md5"})),
    "pylock.toml": (("python=3.11", "lib=2.0"), frozenset({"requested"})),
    "requirements.txt": (("python=3.11", "lib=2.0"), frozenset({"requested"})),
}
OF_REQUEST = ("/REQUESTED", "/direct_url.json")


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Bridge:
    packages = tmp_path_factory.mktemp("packages")
    make_packages(packages)
    return Bridge.of_folder(tmp_path_factory.mktemp("made"), packages)


@pytest.mark.parametrize("name", FORMATS)
def test_an_exported_environment_is_made_again(bridge: Bridge, tmp_path: Path, name: str) -> None:
    before, lacking = FORMATS[name]
    env, file = tmp_path / "env", tmp_path / name
    assert bridge("create", "-p", env, "python=3.11", "pypi:demo==2.0", "lib=2.0").status == 0
    written = bridge("export", "-p", env, "-o", file)
    assert written.status == 0, written.err
    assert bridge("diff", env, file, "--json").document["changed"] == []
    first = tree(env)
    shutil.rmtree(env)
    if before:
        assert bridge("create", "-p", env, *before).status == 0
    ran = bridge("sync", "-p", env, file)
    assert ran.status == 0, ran.err
    assert bridge("audit", "-p", env, "--against", file, "--json").document["findings"] == []
    again = tree(env)
    one, other = (_comparable(each, lacking) for each in (first, again))
    assert one.keys() == other.keys()
    assert {path: data for path, data in one.items() if other[path] != data} == {}


def _comparable(files: dict[str, bytes], lacking: frozenset[str]) -> dict[str, object]:
    """The files without times, without what a format has no place for, and what follows from that."""
    found: dict[str, object] = {}
    for path, data in files.items():
        if path.startswith("conda-meta/") and path.endswith(".json"):
            document = json.loads(data)
            for key in ("timestamp", *lacking):
                document.pop(key, None)
            if "requested" in lacking:
                for key in ("requested_spec", "requested_specs", "files", "paths_data", CHOICE):
                    document.pop(key, None)
            found[path] = document
        elif "requested" in lacking and (path.endswith(OF_REQUEST) or path.endswith("/RECORD")):
            continue
        else:
            found[path] = data
    return found


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Bridge:
    """A python, a wheel with an extra, an sdist, and source code in `linked`, `plain`, `repository` and an archive."""
    made = tmp_path_factory.mktemp("sources")
    make_python(made / "channel", "3.11")
    make_repodata(made / "channel")
    make_wheel(made / "wheels", "app", "2.0", requires=('toy ; extra == "more"',))
    make_wheel(made / "wheels", "toy", "1.0")
    make_sdist(made / "wheels", "built", "1.5")
    make_sdist(made / "direct", "named", "0.5")
    for name in ("linked", "plain"):
        make_project(made / name, name=name)
    make_project(made / "repository", name="versioned")
    make_repository(made / "repository")
    return Bridge.of_folder(made)


@pytest.mark.slow
def test_source_code_is_made_again(sources: Bridge, tmp_path: Path) -> None:
    """Each kind, from each format that holds all of them; the branch has moved since."""
    made, env = sources.folder, tmp_path / "env"
    repository = f"git+file://{made}/repository"
    urls = [f"named @ file://{made}/direct/named-0.5.tar.gz", "-e", made / "linked", made / "plain"]
    ran = sources("create", "-p", env, "python", "app[more]", "built", *urls, f"versioned @ {repository}")
    assert ran.status == 0, ran.err
    lacking = {"bridge.lock": (), "requirements.txt": ("size", "url"), "pylock.toml": ("depends",)}
    for name in lacking:
        assert sources("export", "-p", env, "-o", tmp_path / name).status == 0
    assert "the extras of app[more]" in sources("export", "-p", env, "-o", tmp_path / "pylock.toml").err
    first = tree(env)
    (made / "repository/VERSION").write_text("9.9\n")
    commit(made / "repository")
    for name, keys in lacking.items():
        shutil.rmtree(env)
        if name != "bridge.lock":
            assert sources("create", "-p", env, "python").status == 0
        ran = sources("sync", "-p", env, tmp_path / name)
        assert ran.status == 0, ran.err
        lacks = frozenset({*keys, "requested"} if keys else ())
        one, other = (_comparable(each, lacks) for each in (first, tree(env)))
        assert one.keys() == other.keys()
        assert {path: data for path, data in one.items() if other[path] != data} == {}
    assert sources("remove", "-p", env, "versioned").status == 0
    assert sources("rollback", "-p", env).status == 0
    listed = sources("list", "-p", env, "--json").document["packages"]
    assert {"versioned": "1.0"}.items() <= {each["name"]: each["version"] for each in listed}.items()
