"""The policy at every verb: what breaks it is not chosen, and what a lock or a snapshot brings is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from tests.support.builders import install_distribution, make_conda, make_python, make_repodata, make_wheel, tree_digest
from tests.support.command_line import Bridge, Ran

OLD, NEW = "2020-01-01", "2026-01-01"
CODE = {"lib/python3.12/site-packages/README.txt": b""}


class World:
    """A channel and a folder of wheels, an environment `env`, and `bridge-policy.toml`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bridge = folder, Bridge.of_folder(folder)
        channel, wheels = folder / "channel", folder / "wheels"
        make_python(channel, "3.12")
        for version, license_name, time in (("1.0", "MIT", 1577836800000), ("2.0", "AGPL-3.0-only", 1767225600000)):
            index = {"license": license_name, "timestamp": time}
            make_conda(channel, "tool", version, index=index)
            make_wheel(wheels, "gadget", version, headers=[f"License-Expression: {license_name}"])
        script = {"bin/.scripted-post-link.sh": b"echo ran > $PREFIX/ran\n"}
        make_conda(channel, "scripted", "1.0", subdir="linux-64", noarch=None, files=script)
        for name in ("left", "right"):
            make_conda(channel, name, "1.0", files={"share/same.txt": name.encode()})
        make_repodata(channel)

    def rule(self, text: str) -> None:
        (self.folder / "bridge-policy.toml").write_text(text)

    def refused(self, *words: object, status: int = 3) -> str:
        before = tree_digest(self.folder / "env") if (self.folder / "env").is_dir() else None
        ran = self.bridge(*words)
        assert ran.status == status, ran.out + ran.err
        assert "Traceback" not in ran.err
        after = tree_digest(self.folder / "env") if (self.folder / "env").is_dir() else None
        assert before == after
        return ran.err

    def done(self, *words: object) -> Ran:
        ran = self.bridge(*words)
        assert ran.status == 0, ran.out + ran.err
        return ran

    def versions(self) -> dict[str, str]:
        listed = self.done("list", "-p", "env", "--json").document["packages"]
        return {each["name"]: each["version"] for each in listed}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_licences_narrow_the_choice_of_both_ecosystems(world: World) -> None:
    world.rule('[licenses]\ndeny = ["AGPL-*"]\n')
    world.done("create", "-p", "env", "python", "tool", "pypi:gadget")
    assert world.versions()["tool"] == world.versions()["gadget"] == "1.0"
    error = world.refused("install", "-p", "env", "tool==2.0", status=6)
    assert (
        "breaks the policy: has a licence that is refused: AGPL-3.0-only is denied (bridge-policy.toml: licenses)"
        in error
    )
    error = world.refused("install", "-p", "env", "pypi:gadget==2.0", status=6)
    assert "AGPL-3.0-only is denied" in error


def test_a_licence_that_a_lock_does_not_state_is_not_judged(world: World) -> None:
    world.done("lock", "python", "pypi:gadget==1.0")
    world.rule('[licenses]\nallow = ["MIT", "LicenseRef-*"]\nunknown = "deny"\n')
    world.done("lock", "--check")
    path = world.folder / "bridge.lock"
    document = yaml.safe_load(path.read_text())
    files = document["bridge"]["environments"]["default"].pop("files")
    path.write_text(yaml.safe_dump(document))
    world.done("lock", "--check")
    files["gadget-1.0-py3-none-any.whl"]["license"] = "MPL-2.0"
    document["bridge"]["environments"]["default"]["files"] = files
    path.write_text(yaml.safe_dump(document))
    assert "MPL-2.0" in world.refused("lock", "--check", status=6)


def test_a_cooldown_holds_beside_the_option(world: World) -> None:
    world.rule('cooldown = "2021-01-01"\n')
    world.done("create", "-p", "env", "tool", "--exclude-newer", "2030-01-01")
    assert world.versions()["tool"] == "1.0"
    world.rule('[cooldown]\ndefault = "2021-01-01"\ntool = "never"\n')
    world.done("update", "-p", "env", "tool")
    assert world.versions()["tool"] == "2.0"


@pytest.mark.slow
def test_locks_snapshots_and_clones_are_refused_before_the_first_write(world: World) -> None:
    world.done("create", "-p", "env", "python", "tool==2.0", "pypi:gadget==2.0")
    world.done("lock", "tool==2.0", "python", "pypi:gadget==2.0")
    world.done("install", "-p", "env", "tool==1.0", "pypi:gadget==1.0")
    world.rule('[licenses]\ndeny = ["AGPL-*"]\n')
    for words in (("sync", "-p", "env"), ("rollback", "-p", "env"), ("sync", "-p", "env", "--dry-run")):
        error = world.refused(*words)
        assert "conda:tool-2.0-0 has a licence that is refused: AGPL-3.0-only is denied" in error
    checked = world.bridge("policy", "check", "bridge.lock", "--json")
    assert checked.status == 3
    assert [each["package"] for each in checked.document["breaches"]] == ["conda:tool-2.0-0", "wheel:gadget-2.0"]
    outdated = world.bridge("lock", "--check", "--json")
    assert outdated.status == 6
    assert [text.partition(" has a ")[0] for text in outdated.document["error"]["context"]] == [
        "linux-64: conda:tool-2.0-0",
        "linux-64: wheel:gadget-2.0",
    ]
    assert world.done("policy", "check", "env", "--json").document["breaches"] == []


def test_a_licence_that_only_the_archive_states_is_judged_after_the_fetch(world: World) -> None:
    world.done("create", "-p", "env", "python")
    wheel = world.folder / "wheels" / "gadget-2.0-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (world.folder / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "hand"\n[[packages]]\nname = "gadget"\nversion = "2.0"\n'
        f'wheels = [{{name = "{wheel.name}", path = "wheels/{wheel.name}", hashes = {{sha256 = "{digest}"}}}}]\n'
    )
    world.rule('[licenses]\nallow = ["MIT"]\n')
    assert "wheel:gadget-2.0 has a licence that is refused: AGPL-3.0-only is not" in world.refused(
        "sync", "-p", "env", "pylock.toml", "--keep"
    )


def test_link_scripts_run_for_those_that_may(world: World) -> None:
    world.rule('link-scripts = ["other"]\n')
    ran = world.done("create", "-p", "env", "scripted", "--allow-link-scripts")
    assert "the policy does not let scripted-1.0-0: bin/.scripted-post-link.sh run" in ran.err
    assert not (world.folder / "env" / "ran").exists()
    world.rule('link-scripts = ["scripted"]\n')
    world.done("create", "-p", "env2", "scripted", "--allow-link-scripts")
    assert (world.folder / "env2" / "ran").exists()


def test_only_those_yield_that_may(world: World) -> None:
    world.rule('clobber = ["other"]\n')
    error = world.refused("create", "-p", "env", "left", "right", "--allow-clobber", "left")
    assert "bridge-policy.toml: clobber" in error
    world.rule('clobber = ["left"]\n')
    world.done("create", "-p", "env", "left", "right", "--allow-clobber", "left")


def test_hashes_of_what_a_url_names(world: World) -> None:
    world.rule('hashes = "require"\n')
    wheel = world.folder / "wheels" / "gadget-1.0-py3-none-any.whl"
    error = world.refused("create", "-p", "env", "python", f"gadget @ {wheel.as_uri()}")
    assert "has no hash" in error
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    world.done("create", "-p", "env", "python", f"gadget @ {wheel.as_uri()}#sha256={digest}")


def test_a_conda_package_outside_channels(world: World) -> None:
    package = make_conda(world.folder / "made", "loose", "1.0")
    moved = world.folder / "loose-1.0-0.conda"
    package.rename(moved)
    world.rule('hashes = "require"\n')
    assert "has no hash" in world.refused("create", "-p", "env", "python", moved)
    digest = hashlib.sha256(moved.read_bytes()).hexdigest()
    (world.folder / "list.txt").write_text(f"@EXPLICIT\n{moved.as_uri()}#sha256:{digest}\n")
    world.done("create", "-p", "env", "python", "-r", "list.txt")
    for rule in ("[origins]\nloose = []\n", f'[sources]\n"{world.folder.as_uri()}" = ["other"]\n'):
        world.rule(rule)
        world.refused("create", "-p", "none", "python", moved)
        world.refused("sync", "-p", "none", "list.txt")


def test_a_conversion_keeps_to_the_policy(world: World) -> None:
    world.rule('[origins]\ngadget = "https://packages.example/simple"\n')
    wheel = world.folder / "wheels" / "gadget-1.0-py3-none-any.whl"
    assert "gadget may come only from" in world.refused("convert", wheel, "-o", "out")
    assert world.refused("convert", "gadget", "-o", "out", status=6)
    world.rule('[licenses]\nallow = ["MIT"]\n')
    error = world.refused("convert", world.folder / "wheels" / "gadget-2.0-py3-none-any.whl", "-o", "out")
    assert "AGPL-3.0-only is not among" in error
    assert not list((world.folder / "out").rglob("*.conda"))


def test_a_package_that_was_converted_before_is_judged_again(world: World) -> None:
    wheel = world.folder / "wheels" / "gadget-2.0-py3-none-any.whl"
    world.done("convert", wheel, "-o", "out")
    world.rule('[licenses]\nallow = ["MIT"]\n')
    assert "AGPL-3.0-only is not among" in world.refused("convert", wheel, "-o", "out")


def test_a_mirror_keeps_to_the_policy(world: World) -> None:
    (world.folder / "wanted.txt").write_text("gadget\n")
    world.rule("[origins]\ngadget = []\n")
    world.refused("mirror", "-r", "wanted.txt", "-o", "out", status=6)
    wheel = world.folder / "wheels" / "gadget-1.0-py3-none-any.whl"
    (world.folder / "wanted.txt").write_text(f"gadget @ {wheel.as_uri()}\n")
    assert "gadget may come only from nowhere" in world.refused("mirror", "-r", "wanted.txt", "-o", "out")
    assert not list(world.folder.glob("out/*/*.conda"))


def test_what_another_installer_left_is_not_adopted_against_the_policy(world: World) -> None:
    world.done("create", "-p", "env", "python")
    install_distribution(world.folder / "env", "lib/python3.12/site-packages", "gadget", "3.0")
    world.rule('[origins]\ngadget = "https://packages.example/simple"\n')
    error = world.refused("adopt", "-p", "env", "gadget")
    assert "wheel:gadget-3.0 has no known origin, and gadget may come only from" in error
    world.rule("")
    world.done("adopt", "-p", "env", "gadget")


def test_a_repair_fetches_nothing_that_breaks_the_policy(world: World) -> None:
    world.done("create", "-p", "env", "left", "tool==2.0", "python", "pypi:gadget==2.0")
    same = world.folder / "env" / "share" / "same.txt"
    licence = next((world.folder / "env").rglob("gadget/__init__.py"))
    for each in (same, licence):
        each.write_bytes(b"changed")
    world.rule('[licenses]\ndeny = ["AGPL-*"]\n')
    ran = world.bridge("audit", "-p", "env", "--fix")
    assert "gadget is not repaired: refused by the policy: wheel:gadget-2.0 has a licence that is refused" in ran.err
    assert (same.read_bytes(), licence.read_bytes()) == (b"left", b"changed")
    assert "refused by the policy: wheel:gadget-2.0" in world.refused("audit", "-p", "env", "--fix")


def test_what_the_machine_demands_holds_beside_the_project(world: World) -> None:
    demanded = world.folder / "demanded.toml"
    demanded.write_text('[licenses]\ndeny = ["AGPL-*"]\n')
    config = world.folder / "config.toml"
    config.write_text(f'policy = "{demanded}"\n')
    world.rule('yanked = "deny"\n')
    environ = {"BRIDGE_CONFIG_FILE": str(config)}
    ran = world.bridge("resolve", "tool", "--json", environ=environ)
    assert [each["version"] for each in ran.document["packages"]] == ["1.0"]
    named = world.folder / "named.toml"
    named.write_text("")
    ran = world.bridge("resolve", "tool", "--json", "--policy", named, environ=environ)
    assert [each["version"] for each in ran.document["packages"]] == ["1.0"]


def test_the_table_of_a_project(world: World) -> None:
    (world.folder / "pyproject.toml").write_text('[tool.bridge.policy.licenses]\ndeny = ["AGPL-*"]\n')
    ran = world.done("resolve", "tool", "--json")
    assert [each["version"] for each in ran.document["packages"]] == ["1.0"]
    error = world.refused("resolve", "tool==2.0", status=6)
    assert "pyproject.toml: tool.bridge.policy.licenses" in error


def test_a_check_needs_a_policy(world: World) -> None:
    assert "error[no-policy]" in world.refused("policy", "check", "-p", "env", status=2)
    assert json.loads(world.done("schema", "policy").out)["title"] == "bridge policy check --json"
