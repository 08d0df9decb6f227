"""Environments that other installers changed: what is there counts, what is not there is no lie, what is gone no bar.

The other installers are pip's and uv's ways of leaving files behind, and records of conda's; `distributions` reads
the result without bridge.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bridge import prefix
from tests.support.builders import install_distribution, make_conda, make_repodata, make_wheel, tree_digest
from tests.support.command_line import Bridge, Ran
from tests.support.distributions import damage, seen_by_python
from tests.support.environments import SITE, Environment


def conda_python_package(channel: Path, name: str, version: str) -> Path:
    """A conda package with a dist-info, as conda-build packs a python project for one python."""
    info = f"{SITE}/{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files = {f"{SITE}/{name}/__init__.py": version.encode(), f"{info}/METADATA": metadata, f"{info}/RECORD": b""}
    return make_conda(channel, name, version, files=files)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel, wheels, and an environment: `dual` of conda, the wheel `leaf` of the index, `loc` by its path."""
    folder = tmp_path_factory.mktemp("template")
    root = Environment(folder / "env").root
    conda_python_package(folder / "channel", "dual", "1.0")
    make_conda(folder / "channel", "tool", "1.0", files={"share/tool": b"1"})
    make_repodata(folder / "channel")
    (folder / "channel/names.json").write_text('{"dual": ["dual"]}')
    for version in ("1.0", "2.0"):
        make_wheel(folder / "wheels", "leaf", version)
    make_wheel(folder / "wheels", "user", "1.0", requires=["leaf", "need>=2"])
    make_wheel(folder / "wheels", "need", "3.0")
    make_wheel(folder / "mine", "loc", "1.0")
    done = Bridge.of_folder(folder)(
        "install", "-p", root, "conda:dual", "leaf==1.0", folder / "mine/loc-1.0-py3-none-any.whl"
    )
    assert done.status == 0, done.err
    return folder


class Lab:
    """A copy of the template: the environment, and the folders it came from."""

    def __init__(self, template: Path, folder: Path) -> None:
        self.folder = folder
        for name in ("env", "channel", "wheels", "mine"):
            shutil.copytree(template / name, folder / name, symlinks=True)
        self.root, self.site = folder / "env", folder / "env" / SITE
        # Copies came from where the template did: what the records name is moved along.
        for path in (self.root / "conda-meta").glob("*.json"):
            path.write_text(path.read_text().replace(str(template), str(folder)))
        self._bridge = Bridge.of_folder(folder)

    def __call__(self, command: str, *words: object) -> Ran:
        """Run bridge without a channel of the configuration: those of the environment count."""
        return self._bridge(command, "-p", self.root, *words, environ={"BRIDGE_CHANNEL": ""})

    def done(self, command: str, *words: object) -> Ran:
        ran = self(command, *words)
        assert ran.status == 0, ran.err
        return ran

    def remove(self, name: str) -> None:
        """As pip uninstalls: what RECORD lists, or what the project is known by."""
        shutil.rmtree(self.site / name)
        shutil.rmtree(next(self.site.glob(f"{name}-*.dist-info")))

    def put(self, name: str, version: str, **parts: object) -> None:
        install_distribution(self.root, SITE, name, version, files={f"{name}/__init__.py": version.encode()}, **parts)  # type: ignore[arg-type]

    def versions(self) -> dict[str, str]:
        found = prefix.read(self.root).installed
        return {each.record.name: each.record.version for each in found if each.record.name != "python"}

    def imports(self, name: str) -> str:
        return (self.site / name / "__init__.py").read_text()


@pytest.fixture
def lab(template: Path, tmp_path: Path) -> Lab:
    return Lab(template, tmp_path)


# --- an origin that is gone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["mine", "channel", "wheels"])
def test_an_origin_that_is_gone_blocks_nothing_else(lab: Lab, origin: str, tmp_path: Path) -> None:
    (tmp_path / origin).rename(tmp_path / "gone")
    extra = make_wheel(tmp_path / "extra", "extra", "1.0")
    lab.done("install", extra)
    assert lab.versions() == {"dual": "1.0", "leaf": "1.0", "loc": "1.0", "extra": "1.0"}
    lab.done("remove", "extra")
    assert lab.versions() == {"dual": "1.0", "leaf": "1.0", "loc": "1.0"}


def test_update_goes_on_without_a_file_that_is_gone(lab: Lab, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "mine")
    make_conda(tmp_path / "channel", "tool", "2.0", files={"share/tool": b"2"})
    conda_python_package(tmp_path / "channel", "dual", "2.0")
    make_repodata(tmp_path / "channel")
    done = lab.done("update")
    assert "loc stays" in done.err
    assert lab.versions() == {"dual": "2.0", "leaf": "1.0", "loc": "1.0"}


def test_update_without_any_of_the_channels_is_an_error(lab: Lab, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "channel")
    done = lab("update")
    assert done.status == 10
    assert "channel" in done.err


def test_a_wheel_rebuilt_in_place_is_installed_when_it_is_asked_for(lab: Lab, tmp_path: Path) -> None:
    before = (lab.site / "loc/__init__.py").read_bytes()
    make_wheel(tmp_path / "mine", "loc", "1.0", files={"loc/__init__.py": b"rebuilt"})
    lab.done("install", "tool")
    assert (lab.site / "loc/__init__.py").read_bytes() == before
    lab.done("update", "loc")
    assert lab.imports("loc") == "rebuilt"
    make_wheel(tmp_path / "mine", "loc", "1.0", files={"loc/__init__.py": b"again"})
    lab.done("install", tmp_path / "mine/loc-1.0-py3-none-any.whl")
    assert lab.imports("loc") == "again"


def test_what_is_asked_for_and_gone_is_an_error(lab: Lab, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "mine")
    done = lab("install", tmp_path / "mine/loc-1.0-py3-none-any.whl")
    assert done.status != 0
    assert "loc-1.0-py3-none-any.whl" in done.err


# --- what another installer put there meets needs ---------------------------------------------------------------------


def test_a_foreign_distribution_meets_a_need(lab: Lab) -> None:
    lab.put("need", "2.5")
    lab.done("install", "user")
    assert lab.versions()["user"] == "1.0"
    assert "need" not in lab.versions()
    assert lab.imports("need") == "2.5"
    assert damage(lab.site) == []
    lab.done("update")
    assert lab.imports("need") == "2.5"


def test_one_that_does_not_is_named_and_nothing_is_written(lab: Lab) -> None:
    lab.put("need", "1.0")
    before = tree_digest(lab.root)
    done = lab("install", "user")
    assert done.status == 6
    assert "pip:need-1.0 was installed by another installer" in done.err
    assert "bridge adopt" in done.err
    after = tree_digest(lab.root)
    assert {path: after[path] for path in before} == before


def test_the_unmet_needs_of_a_foreign_distribution_block_nothing(lab: Lab) -> None:
    lab.put("broken", "1.0", requires=["absent>=3", "leaf>=7", 'extra-thing; extra == "more"'], requires_python=">=4")
    lab.done("install", "tool")
    assert lab.versions()["tool"] == "1.0"


def test_a_foreign_distribution_that_breaks_a_need_does_not_block_the_rest(lab: Lab) -> None:
    lab.done("install", "user")
    lab.remove("need")
    lab.put("need", "1.0")
    lab.done("install", "tool")
    assert lab.imports("need") == "1.0"


def test_asking_for_what_is_there_is_done_already(lab: Lab) -> None:
    lab.put("need", "2.5")
    done = lab.done("install", "need")
    assert "nothing to do" in done.err
    refused = lab("install", "need==3")
    assert refused.status == 4
    assert "need-2.5.dist-info" in refused.err
    assert seen_by_python(lab.site)["need"] == ["2.5"]


def test_a_second_dist_info_is_never_put_beside_a_foreign_one(lab: Lab, tmp_path: Path) -> None:
    """Their files are disjoint, but the project is the same."""
    lab.put("need", "2.5")
    other = make_wheel(tmp_path / "mine", "need", "3.0", files={"need_three.py": b""})
    refused = lab("install", other)
    assert refused.status == 4
    assert seen_by_python(lab.site)["need"] == ["2.5"]


# --- records that are not true any more -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dual", "leaf"])
@pytest.mark.parametrize("command", ["install", "update"])
def test_what_another_installer_removed_is_brought_back(lab: Lab, name: str, command: str) -> None:
    lab.remove(name)
    told = lab.done("install", "tool").err
    assert (
        f"{name} 1.0 was replaced or removed by another installer, and stays so; to restore it: bridge install" in told
    )
    assert name not in seen_by_python(lab.site)
    assert "stays so" not in lab.done(command, name).err
    assert name in seen_by_python(lab.site)
    assert (lab.site / name / "__init__.py").is_file()
    assert damage(lab.site)[:1] in ([], [f"{name}-1.0.dist-info: there is no RECORD"])


def test_what_is_needed_and_was_removed_comes_back_with_its_user(lab: Lab) -> None:
    lab.remove("leaf")
    lab.done("install", "user")
    assert {"leaf", "need", "user"} <= seen_by_python(lab.site).keys()


@pytest.mark.parametrize("name", ["dual", "leaf"])
def test_what_another_installer_replaced_is_no_success(lab: Lab, name: str) -> None:
    lab.remove(name)
    lab.put(name, "9.0")
    for words in (("install", f"{name}==1.0"), ("update", name)):
        done = lab(*words)
        assert done.status == 4, done.err
        assert "bridge adopt" in done.err
        assert lab.imports(name) == "9.0"
    told = lab.done("install", "tool")
    assert f"was replaced by pip:{name}-9.0" in told.err
    assert "nothing to do" in lab.done("install", name).err
    assert seen_by_python(lab.site)[name] == ["9.0"]
    lab.done("adopt", name)
    assert lab.versions()[name] == "9.0"
    lab.done("install", f"{name}==1.0")
    assert seen_by_python(lab.site)[name] == ["1.0"]
    assert lab.versions()[name] == "1.0"


def test_adopt_finds_what_was_replaced_without_purls(lab: Lab) -> None:
    record = next((lab.root / "conda-meta").glob("dual-*.json"))
    record.write_text(json.dumps({**json.loads(record.read_text()), "purls": []}))
    lab.remove("dual")
    lab.put("dual", "2.0")
    lab.done("adopt", "dual")
    assert lab.versions()["dual"] == "2.0"
    assert lab.imports("dual") == "2.0"
    assert damage(lab.site) == []


def forget_requests(prefix: Path) -> None:
    """Leave the records as py-rattler writes them."""
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        kept = {key: value for key, value in record.items() if not key.startswith("requested_spec")}
        path.write_text(json.dumps(kept))
    (prefix / "conda-meta/history").unlink()


def test_what_nobody_recorded_a_request_for_is_not_dropped(lab: Lab, tmp_path: Path) -> None:
    """py-rattler records no requests: a conflict with what is there is refused, and removes nothing."""
    forget_requests(lab.root)
    make_conda(tmp_path / "channel", "rival", "1.0", files={"share/rival": b""}, constrains=["dual <0"])
    make_repodata(tmp_path / "channel")
    before = lab.versions()
    done = lab("install", "rival")
    assert done.status == 6
    assert "dual is installed and must stay" in done.err
    assert lab.versions() == before


def test_what_was_there_outlives_what_was_added_to_it(lab: Lab, tmp_path: Path) -> None:
    """The one request that is known needs all that is there; it goes, and only what came with it."""
    forget_requests(lab.root)
    make_conda(tmp_path / "channel", "late", "1.0", depends=["dual", "part"])
    make_conda(tmp_path / "channel", "part", "1.0")
    make_repodata(tmp_path / "channel")
    before = lab.versions()
    lab.done("install", "late")
    assert lab("remove", "late").status == 0
    assert lab.versions() == before
