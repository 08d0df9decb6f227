"""Attestations that a policy demands: verified by a trust root of the tests, kept, shown; refused if they are wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.own_sigstore import CONDA, OwnSigstore
from tests.support.servers import IndexServer


class World:
    """A channel and an index with attested packages of `acme/core`, and the trust root that knows their Sigstore."""

    def __init__(self, folder: Path, index: IndexServer) -> None:
        self.folder, self.index, self.sigstore = folder, index, OwnSigstore()
        self.sigstore.write_root(folder / "root.json")
        make_python(folder / "channel", "3.12")
        self.bridge = Bridge(
            cache=folder / "cache",
            index=index.simple,
            folder=folder,
            environ={"BRIDGE_CHANNEL": str(folder / "channel")},
        )
        self.attested_package("tool")
        make_conda(folder / "channel", "plain", "1.0")
        self.index_channel()

    def rule(self, text: str) -> None:
        (self.folder / "bridge-policy.toml").write_text(f'trusted-root = "root.json"\n{text}\n')

    def publish(self, name: str, version: str, provenance: bytes | None) -> Path:
        wheel = make_wheel(self.folder / "wheels", name, version)
        facts = {}
        if provenance is not None:
            facts["provenance"] = f"{self.index.url}/integrity/{wheel.name}"
            self.index.add(f"/integrity/{wheel.name}", provenance, content_type="application/json")
        self.index.publish(wheel, facts=facts)
        return wheel

    def attested(self, repository: str = "acme/core", **more: str) -> None:
        wheel = make_wheel(self.folder / "wheels", "core", "1.0")
        self.publish("core", "1.0", self.sigstore.provenance(wheel, repository, **more))

    def attested_package(self, name: str) -> None:
        package = make_conda(self.folder / "channel", name, "1.0")
        sidecar = self.sigstore.sidecar(package, "acme/core")
        digest = hashlib.sha256(sidecar).hexdigest()
        package.with_name(f"{package.name}.sigs.{digest}").write_bytes(sidecar)
        (self.folder / "advertised.json").write_text(json.dumps({package.name: digest}))

    def index_channel(self) -> None:
        make_repodata(self.folder / "channel")
        repodata = self.folder / "channel" / "noarch" / "repodata.json"
        document = json.loads(repodata.read_text())
        for name, digest in json.loads((self.folder / "advertised.json").read_text()).items():
            document["packages.conda"][name]["attestations_sha256"] = digest
        repodata.write_text(json.dumps(document))

    def done(self, *words: str) -> Ran:
        ran = self.bridge(*words)
        assert ran.status == 0, ran.err
        return ran

    def refused(self, *words: str, status: int) -> str:
        ran = self.bridge(*words, "--dry-run")
        assert ran.status == status, ran.out + ran.err
        assert not (self.folder / "env").exists()
        return ran.err


@pytest.fixture(scope="module")
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, index: IndexServer) -> World:
    index.projects.clear()
    return World(tmp_path, index)


OF_CORE = '[attestations]\ncore = {publisher = "GitHub", repository = "acme/core", workflow = "release.yml"}'


def test_an_attested_wheel_is_chosen_verified_and_remembered(world: World) -> None:
    world.attested()
    world.publish("core", "2.0", None)
    world.rule(OF_CORE)
    world.done("create", "-p", "env", "python", "pypi:core")
    listed = {each["name"]: each for each in world.done("list", "-p", "env", "--json").document["packages"]}
    publisher = {"publisher": "GitHub", "repository": "acme/core", "workflow": "release.yml"}
    assert (listed["core"]["version"], listed["core"]["attestations"]) == ("1.0", [publisher])
    assert "attested by GitHub acme/core release.yml" in world.done("why", "-p", "env", "core").out
    assert world.done("policy", "check", "env", "--json").document["breaches"] == []
    world.rule('[attestations]\ncore = {repository = "other/core"}')
    checked = world.bridge("policy", "check", "env")
    assert checked.status == 3
    assert "is attested by GitHub acme/core release.yml, and not by other/core" in checked.out + checked.err
    assert world.bridge("lock", "python", "pypi:core").status == 3


@pytest.mark.slow
def test_a_lock_is_checked_by_the_attestations_of_its_wheels(world: World) -> None:
    world.attested()
    world.done("lock", "python", "pypi:core")
    world.rule(OF_CORE)
    assert world.done("policy", "check", "bridge.lock", "--json").document["breaches"] == []
    world.rule('[attestations]\ncore = {repository = "other/core"}')
    ran = world.bridge("policy", "check", "bridge.lock", "--json")
    assert (ran.status, [each["rule"] for each in ran.document["breaches"]]) == (3, ["attestations.core"])
    for words in (("fetch", "bridge.lock", "-o", "out"), ("sync", "-p", "env", "bridge.lock")):
        assert "is attested by GitHub acme/core release.yml, and not by other/core" in world.bridge(*words).err
    assert not (world.folder / "out").exists()


@pytest.mark.slow
def test_a_repair_keeps_who_attested(world: World) -> None:
    world.attested()
    world.rule(OF_CORE)
    world.done("create", "-p", "env", "python", "pypi:core")
    next((world.folder / "env").rglob("core/__init__.py")).write_bytes(b"changed")
    world.done("audit", "-p", "env", "--fix")
    assert world.done("policy", "check", "env", "--json").document["breaches"] == []


def test_what_is_converted_is_verified_first(world: World) -> None:
    world.attested()
    world.rule(OF_CORE)
    world.done("convert", "core", "-o", "out")
    world.rule('[attestations]\ncore = {repository = "other/core"}')
    for words in (("convert", "core"), ("convert", "core", "--wheels-as-records")):
        ran = world.bridge(*words, "-o", "out")
        assert ran.status == 3
        assert "and not by other/core" in ran.err


def test_no_channel_says_what_was_attested(world: World) -> None:
    repodata = world.folder / "channel" / "noarch" / "repodata.json"
    document = json.loads(repodata.read_text())
    (name,) = (name for name in document["packages.conda"] if name.startswith("plain-"))
    document["packages.conda"][name]["attestations"] = [{"publisher": "GitHub", "repository": "acme/core"}]
    repodata.write_text(json.dumps(document))
    world.done("create", "-p", "env", "plain")
    world.rule('[attestations]\nplain = {repository = "acme/core"}')
    (package,) = world.done("list", "-p", "env", "--json").document["packages"]
    assert package["attestations"] == []
    assert world.bridge("policy", "check", "env").status == 3


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"repository": "evil/core"}, 3, "is attested by GitHub evil/core release.yml, and not by GitHub acme/core"),
        ({"repository": "evil/core", "publisher": "acme/core"}, 5, "error[attestation-invalid]"),
        ({"sha256": "0" * 64}, 5, "its attestation is about another file"),
        ({"name": "core-9.0-py3-none-any.whl"}, 5, "its attestation is about another file"),
        ({"workflow": "evil.yml"}, 3, "and not by GitHub acme/core release.yml"),
    ],
)
def test_a_wrong_attestation_is_refused(world: World, more: dict[str, str], status: int, says: str) -> None:
    world.attested(**more)
    world.rule(OF_CORE)
    assert says in world.refused("create", "-p", "env", "python", "pypi:core", status=status)


def test_what_nobody_attested_is_not_chosen(world: World) -> None:
    world.publish("core", "1.0", None)
    world.rule(OF_CORE)
    error = world.refused("create", "-p", "env", "python", "pypi:core", status=6)
    assert "break the policy (bridge-policy.toml: attestations.core)" in error


@pytest.mark.slow
@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b'{"version": 1, "attestation_bundles": [{}]}', b"\xff"])
def test_a_broken_document_is_refused(world: World, document: bytes) -> None:
    world.publish("core", "1.0", document)
    world.rule(OF_CORE)
    error = world.refused("create", "-p", "env", "python", "pypi:core", status=5)
    assert "Traceback" not in error


@pytest.mark.slow
def test_another_trust_root_confirms_nothing(world: World) -> None:
    world.attested()
    (world.folder / "bridge-policy.toml").write_text(OF_CORE)
    assert "error[attestation-invalid]" in world.refused("create", "-p", "env", "python", "pypi:core", status=5)
    (world.folder / "root.json").write_text("{}")
    world.rule(OF_CORE)
    assert "error[trusted-root]" in world.refused("create", "-p", "env", "python", "pypi:core", status=2)


def test_conda_packages_are_attested_by_their_channel(world: World) -> None:
    world.rule('[attestations]\n"*" = {repository = "acme/core"}\npython = true')
    error = world.refused("create", "-p", "env", "plain", status=6)
    assert 'bridge-policy.toml: attestations."*"' in error
    world.done("create", "-p", "env", "tool")
    (package,) = world.done("list", "-p", "env", "--json").document["packages"]
    assert package["attestations"] == [{"publisher": "GitHub", "repository": "acme/core", "workflow": "release.yml"}]
    assert CONDA.endswith("attestations-publish-1.schema.json")


def test_a_conda_package_needs_a_named_publisher(world: World) -> None:
    world.rule('attestations = ["tool"]')
    assert "the rule must name the publisher" in world.refused("create", "-p", "env", "tool", status=3)


def test_a_sidecar_that_was_exchanged_is_refused(world: World) -> None:
    (sidecar,) = (world.folder / "channel").rglob("*.sigs.*")
    sidecar.write_bytes(sidecar.read_bytes() + b"\n")
    world.rule('[attestations]\ntool = {repository = "acme/core"}')
    assert "has not the hash that the channel states" in world.refused("create", "-p", "env", "tool", status=5)
    sidecar.unlink()
    assert "announces an attestation that is not there" in world.refused("create", "-p", "env", "tool", status=5)
