"""Folders and git repositories as requirements: resolved, built, recorded, audited, updated and removed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bridge import prefix
from tests.support.builders import make_wheel, tree_digest
from tests.support.command_line import Bridge
from tests.support.environments import SITE, Environment
from tests.support.projects import commit, make_project, make_repository
from tests.support.servers import Server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Environment(tmp_path / "env").root


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    make_wheel(tmp_path / "wheels", "leaf", "1.0")
    (tmp_path / "channel/noarch").mkdir(parents=True)
    (tmp_path / "channel/noarch/repodata.json").write_text('{"packages": {}}')
    return Bridge.of_folder(tmp_path)


def direct_url(root: Path, name: str) -> dict[str, object]:
    (found,) = (root / SITE).glob(f"{name}-*.dist-info/direct_url.json")
    document: dict[str, object] = json.loads(found.read_text())
    return document


def versions(root: Path) -> dict[str, str]:
    found = prefix.read(root).installed
    return {each.record.name: each.record.version for each in found if each.record.name != "python"}


def done(bridge: Bridge, *words: object) -> str:
    ran = bridge(*words)
    assert ran.status == 0, ran.err
    return ran.err


def check_healthy(bridge: Bridge, root: Path) -> None:
    ran = bridge("audit", "-p", root, "--json", "--fail-on", "never")
    assert [each for each in ran.document["findings"] if each["package"] in {"mine", "leaf"}] == []


@pytest.mark.slow
@pytest.mark.parametrize("text", [".", "./mine", "mine/", "mine @ ./mine", "file:mine", "{}"])
def test_a_folder_is_built_and_recorded(bridge: Bridge, root: Path, tmp_path: Path, text: str) -> None:
    project = make_project(tmp_path if text == "." else tmp_path / "mine", "mine", requires=["leaf"])
    done(bridge, "install", "-p", root, text.replace("{}", project.as_uri()))
    assert versions(root) == {"mine": "1.0", "leaf": "1.0"}
    assert direct_url(root, "mine") == {"url": project.as_uri(), "dir_info": {}}
    check_healthy(bridge, root)
    done(bridge, "remove", "-p", root, "mine")
    assert versions(root) == {}


@pytest.mark.slow
def test_an_editable_folder_is_linked(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "mine", "mine", requires=["leaf"])
    told = done(bridge, "install", "-p", root, "-e", "mine", "--refuse-startup-code")
    assert "runs at every start" not in told
    assert direct_url(root, "mine") == {"url": project.as_uri(), "dir_info": {"editable": True}}
    assert (root / SITE / "__editable__mine.pth").read_text() == f"{project}\n"
    check_healthy(bridge, root)
    before = tree_digest(root)
    for words in (("update",), ("install", "-e", "./mine"), ("update", "mine")):
        done(bridge, words[0], "-p", root, *words[1:])
    assert tree_digest(root) == before
    done(bridge, "install", "-p", root, "./mine")
    assert direct_url(root, "mine")["dir_info"] == {}
    assert not (root / SITE / "__editable__mine.pth").exists()


@pytest.mark.slow
def test_an_update_builds_again_what_changed(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "mine", "mine")
    done(bridge, "install", "-p", root, "./mine")
    before = tree_digest(root)
    done(bridge, "update", "-p", root)
    assert tree_digest(root) == before
    (project / "mine.py").write_text("VERSION = 'edited'\n")
    done(bridge, "install", "-p", root, "leaf")  # asks for something else: the project stays
    assert "edited" not in (root / SITE / "mine.py").read_text()
    done(bridge, "update", "-p", root)
    assert "edited" in (root / SITE / "mine.py").read_text()
    (project / "VERSION").write_text("2.0")
    done(bridge, "update", "-p", root, "mine")
    assert versions(root) == {"mine": "2.0", "leaf": "1.0"}
    check_healthy(bridge, root)


@pytest.mark.slow
def test_a_git_repository(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    make_project(repository / "python", "mine", requires=["leaf"])
    make_repository(repository)
    first = commit(repository, tag="v1")
    url = f"git+{repository.as_uri()}"
    done(bridge, "install", "-p", root, f"{url}#subdirectory=python&egg=mine")
    assert direct_url(root, "mine") == {
        "url": repository.as_uri(),
        "vcs_info": {"vcs": "git", "commit_id": first},
        "subdirectory": "python",
    }
    check_healthy(bridge, root)
    before = tree_digest(root)
    done(bridge, "update", "-p", root)
    assert tree_digest(root) == before
    (repository / "python/VERSION").write_text("2.0")
    second = commit(repository)
    done(bridge, "update", "-p", root)
    assert versions(root)["mine"] == "2.0"
    assert second in json.dumps(direct_url(root, "mine"))
    done(bridge, "install", "-p", root, f"mine @ {url}@v1#subdirectory=python")
    assert direct_url(root, "mine")["vcs_info"] == {"vcs": "git", "commit_id": first, "requested_revision": "v1"}
    record = next((root / "conda-meta").glob("mine-*.json")).read_text()
    assert f"%40{first}" in record
    check_healthy(bridge, root)


REFERENCES = ["main", "v1", "refs/heads/main", "{commit}", "{short}", ""]


@pytest.mark.slow
@pytest.mark.parametrize("reference", REFERENCES)
def test_what_a_reference_names(bridge: Bridge, root: Path, tmp_path: Path, reference: str) -> None:
    repository = make_project(tmp_path / "repository", "mine")
    make_repository(repository)
    first = commit(repository, tag="v1")
    named = reference.format(commit=first, short=first[:9])
    commit(repository)
    done(bridge, "install", "-p", root, f"mine @ git+{repository.as_uri()}{'@' if named else ''}{named}")
    found = direct_url(root, "mine")["vcs_info"]
    assert isinstance(found, dict)
    assert (found["commit_id"] == first) == (reference in {"v1", "{commit}", "{short}"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("other @ ./mine", "it is the project mine"),
        ("other @ git+{}", "it is the project mine"),
        ("git+{}@nothing", "no branch, tag or commit 'nothing'"),
        ("git+{}none", "git fetch failed"),
        ("git+{}@--upload-pack=touch", "not the name of a branch"),
        ("git+{}#subdirectory=../..", "a subdirectory outside of the source"),
        ("git+{}#subdirectory=none", "no directory none"),
        ("git+ext::sh -c touch%20x", "not the URL of a git repository"),
        ("git+git@h.example:o/r.git", "git+ssh://git@h.example/o/r.git"),
        ("hg+https://h.example/x", "git repositories"),
        ("-e leaf", "there is no folder"),
    ],
)
def test_what_leads_to_no_project_is_one_error(
    bridge: Bridge, root: Path, tmp_path: Path, text: str, said: str
) -> None:
    project = make_project(tmp_path / "mine", "mine")
    make_repository(project)
    before = tree_digest(root)
    words = text.split(" ") if text.startswith("-e") else [text]
    ran = bridge("install", "-p", root, *(word.replace("{}", project.as_uri()) for word in words))
    assert ran.status in {2, 3, 10}
    assert said in ran.err
    assert ran.err.count("error[") == 1
    assert tree_digest(root) == before


@pytest.mark.parametrize("text", ["./mine", "git+{}"])
def test_without_builds_and_without_git(bridge: Bridge, root: Path, tmp_path: Path, text: str) -> None:
    project = make_project(tmp_path / "mine", "mine", static="dependencies = []")
    make_repository(project)
    ran = bridge("install", "-p", root, "--no-build", text.replace("{}", project.as_uri()))
    assert ran.status != 0
    assert "error[build-needed]" in ran.err
    if text.startswith("git"):
        (tmp_path / "bin").mkdir()
        ran = bridge(
            "install", "-p", root, text.replace("{}", project.as_uri()), environ={"PATH": str(tmp_path / "bin")}
        )
        assert ran.status == 2
        assert "error[git-missing]" in ran.err


def test_a_backend_without_editable_wheels(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    make_project(tmp_path / "mine", "mine", is_linkable=False, static="dependencies = []")
    ran = bridge("install", "-p", root, "-e", "./mine")
    assert ran.status != 0
    assert "error[editable-unsupported]" in ran.err
    assert "omit -e" in ran.err


def test_static_metadata_runs_no_code(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "mine", "mine", static='dependencies = ["nowhere-to-be-found"]')
    (project / "backend.py").write_text("raise SystemExit('run')\n")
    ran = bridge("install", "-p", root, "--dry-run", "-e", "./mine")
    assert ran.status == 6
    assert "nowhere-to-be-found" in ran.err


@pytest.mark.slow
def test_hooks_of_a_user_do_not_run(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    repository = make_project(tmp_path / "repository", "mine")
    make_repository(repository)
    hooks = tmp_path / "template/hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[init]\n\ttemplateDir = {tmp_path}/template\n[core]\n\thooksPath = {hooks}\n")
    ran = bridge("install", "-p", root, f"git+{repository.as_uri()}", environ={"GIT_CONFIG_GLOBAL": str(settings)})
    assert ran.status == 0, ran.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_what_is_gone_stays_installed(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "mine", "mine")
    done(bridge, "install", "-p", root, "./mine")
    project.rename(tmp_path / "elsewhere")
    told = done(bridge, "update", "-p", root)
    assert "mine stays: there is no folder" in told
    done(bridge, "install", "-p", root, "leaf")
    assert versions(root) == {"mine": "1.0", "leaf": "1.0"}


@pytest.mark.slow
def test_a_damaged_project_is_built_again(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "mine", "mine")
    make_repository(project)
    done(bridge, "install", "-p", root, f"git+{project.as_uri()}")
    (root / SITE / "mine.py").unlink()
    done(bridge, "audit", "-p", root, "--fix", "--fail-on", "never")
    check_healthy(bridge, root)
    assert "VERSION" in (root / SITE / "mine.py").read_text()


FILES = {
    "requirements.txt": "-e ../mine\n",
    "environment.yml": "dependencies:\n  - pip:\n    - -e ../mine\n",
    "pyproject.toml": '[project]\nname = "p"\nversion = "1"\ndependencies = ["mine @ {}"]\n',
    "constrained.txt": "mine @ {} ; python_version > '3'\nleaf==1.0\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_files_name_folders_from_where_they_lie(bridge: Bridge, root: Path, tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path / "mine", "mine", requires=["leaf"])
    (tmp_path / "files").mkdir()
    file = tmp_path / "files" / name
    file.write_text(FILES[name].replace("{}", project.as_uri()))
    done(bridge, "install", "-p", root, "-r", file)
    assert versions(root) == {"mine": "1.0", "leaf": "1.0"}
    assert direct_url(root, "mine")["dir_info"] == ({"editable": True} if "-e" in FILES[name] else {})


@pytest.mark.slow
def test_a_link_to_a_repository_is_installed_plainly(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    repository = make_project(tmp_path / "mine", "mine")
    first = make_repository(repository)
    (tmp_path / "requirements.txt").write_text(f"-e git+{repository.as_uri()}@{first}#egg=mine\n")
    for words in (("-r", tmp_path / "requirements.txt"), ("-e", f"git+{repository.as_uri()}")):
        told = done(bridge, "install", "-p", root, *words)
        assert "is installed as without -e" in told
    assert first in json.dumps(direct_url(root, "mine"))
    assert "VERSION" in (root / SITE / "mine.py").read_text()


DYNAMIC = 'dynamic = ["dependencies", "optional-dependencies"]'


@pytest.mark.slow
def test_a_dynamic_project_is_built_for_what_it_requires(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "mine", "mine", requires=["leaf ; os_name == 'posix'"], static=DYNAMIC)
    path = project / "pyproject.toml"
    path.write_text(path.read_text() + '[dependency-groups]\ntest = ["leaf"]\n')
    ran = bridge("install", "-p", root, "--no-build", "-r", path)
    assert "error[build-needed]" in ran.err
    told = done(bridge, "install", "-p", root, "-r", path)
    assert "the requirements of mine are dynamic" in told
    assert versions(root) == {"leaf": "1.0"}
    (project / "backend.py").write_text("raise SystemExit('run')\n")
    assert "are dynamic" not in done(bridge, "install", "-p", root, "-r", path, "--group", "test")
    ran = bridge("install", "-p", root, "-r", path, "--extra", "none")
    assert "error[" in ran.err


@pytest.mark.slow
def test_what_a_dynamic_project_requires_comes_from_the_sources_of_its_file(
    bridge: Bridge, root: Path, tmp_path: Path
) -> None:
    """[tool.uv.sources] says where `leaf` comes from, and an index has another one."""
    other = make_project(tmp_path / "leaf", "leaf", "3.0")
    project = make_project(tmp_path / "mine", "mine", requires=["leaf"], static=DYNAMIC)
    path = project / "pyproject.toml"
    path.write_text(path.read_text() + '[tool.uv.sources]\nleaf = {path = "../leaf"}\n')
    done(bridge, "install", "-p", root, "-r", path)
    assert versions(root) == {"leaf": "3.0"}
    assert direct_url(root, "leaf") == {"url": other.as_uri(), "dir_info": {}}


@pytest.mark.slow
def test_a_project_may_require_what_lies_beside_it(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    other = make_project(tmp_path / "other", "other")
    make_project(tmp_path / "mine", "mine", requires=[f"other @ {other.as_uri()}"])
    done(bridge, "install", "-p", root, "./mine")
    assert versions(root) == {"mine": "1.0", "other": "1.0"}
    assert direct_url(root, "other") == {"url": other.as_uri(), "dir_info": {}}


@pytest.mark.parametrize("scheme", ["file", "git+file"])
def test_a_wheel_may_not_require_what_lies_here(bridge: Bridge, root: Path, tmp_path: Path, scheme: str) -> None:
    other = make_project(tmp_path / "other", "other")
    make_repository(other)
    make_wheel(tmp_path / "wheels", "greedy", "1.0", requires=[f"other @ {scheme}://{other}"])
    ran = bridge("install", "-p", root, "greedy")
    assert ran.status != 0
    assert "a package may not require a file of this machine" in ran.err


@pytest.mark.slow
def test_sources_are_converted(bridge: Bridge, tmp_path: Path) -> None:
    repository = make_project(tmp_path / "mine", "mine")
    make_repository(repository)
    make_project(tmp_path / "other", "other", requires=["leaf"])
    done(bridge, "convert", f"git+{repository.as_uri()}", "-o", tmp_path / "one")
    assert [path.name.partition("-1.0")[0] for path in (tmp_path / "one").rglob("*.conda")] == ["mine"]
    ran = bridge("convert", "-e", "./other", "-o", tmp_path / "two")
    assert ran.status == 2
    assert "cannot be a link" in ran.err


@pytest.mark.slow
def test_credentials_reach_git_and_no_file(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    repository = make_project(tmp_path / "mine", "mine")
    first = make_repository(repository)
    with Server() as server:
        publish(server, repository, credentials=("me", "s3cret-word"))
        url = server.url.replace("://", "://me:s3cret-word@")
        done(bridge, "install", "-p", root, f"mine @ git+{url}/mine.git@main")
        found = direct_url(root, "mine")
        assert found["url"] == f"{server.url}/mine.git"
        assert first in json.dumps(found)
        ran = bridge("install", "-p", root, f"other @ git+{server.url}/mine.git@main")
        assert ran.status == 10
        assert "git fetch failed" in ran.err
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cret-word" in path.read_bytes()]
    assert holding == []


def publish(server: Server, repository: Path, credentials: tuple[str, str]) -> None:
    """Serve a repository by git's dumb protocol: as plain files."""
    subprocess.run(["git", "-C", repository, "update-server-info"], check=True)
    for path in (repository / ".git").rglob("*"):
        if path.is_file():
            name = path.relative_to(repository / ".git").as_posix()
            server.add(f"/mine.git/{name}", path.read_bytes(), credentials=credentials)


@pytest.mark.slow
def test_no_index_is_asked_for_what_a_url_names(bridge: Bridge, root: Path, tmp_path: Path) -> None:
    make_project(tmp_path / "mine", "mine")
    with Server() as server:
        environ = {"PIP_NO_INDEX": "0", "BRIDGE_INDEX_URL": f"{server.url}/simple/"}
        ran = bridge("install", "-p", root, "./mine", environ=environ)
        assert ran.status == 0, ran.err
        assert server.count("/simple/mine/") == 0
