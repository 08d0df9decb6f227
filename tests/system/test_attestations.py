"""Attestations that a policy demands: verified by a trust root of the tests, kept, shown; refused if they are wrong."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.own_sigstore import CONDA, OwnServers, OwnSigstore, identity_token
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

    def attested_package(self, name: str, **more: str) -> None:
        package = make_conda(self.folder / "channel", name, "1.0")
        self.advertise(package, self.sigstore.sidecar(package, "acme/core", **more))

    def advertise(self, package: Path, sidecar: bytes) -> None:
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

    def refused_index(self, *words: str, environ: dict[str, str] | None = None) -> str:
        ran = self.bridge("index", "channel", *words, environ=environ)
        assert ran.status == 2, ran.out + ran.err
        return ran.err


@pytest.fixture(scope="module")
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, index: IndexServer) -> World:
    index.projects.clear()
    return World(tmp_path, index)


def package_info(package: Path) -> dict[str, bytes]:
    """The files below `info/` of a package."""
    streaming = pytest.importorskip("conda_package_streaming.package_streaming")
    found = {}
    for tar, member in streaming.stream_conda_info(package):
        if member.isfile():
            found[member.name] = tar.extractfile(member).read()
    return found


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
    world.rule(OF_CORE)
    world.done("lock", "python", "pypi:core", "-o", "pylock.toml")
    line = 'attestation-identities = [{kind = "GitHub", repository = "acme/core", workflow = "release.yml"}]'
    assert line in (world.folder / "pylock.toml").read_text().splitlines()
    world.rule('[attestations]\ncore = {repository = "other/core"}')
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
    assert "break the policy: has no attestation (bridge-policy.toml: attestations.core)" in error


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
    assert "does not have the hash that the channel states" in world.refused("create", "-p", "env", "tool", status=5)
    sidecar.unlink()
    assert "announces an attestation that is not there" in world.refused("create", "-p", "env", "tool", status=5)


def test_a_conda_package_is_attested_for_its_channel(world: World) -> None:
    own = (world.folder / "channel").as_uri()
    for target in (own, "https://example.com/staging"):
        world.attested_package("tool", target=target)
        world.index_channel()
        world.rule('[attestations]\ntool = {repository = "acme/core"}')
        if target.startswith("file"):
            world.done("create", "-p", "env", "tool", "--dry-run")
            continue
        error = world.refused("create", "-p", "env", "tool", status=3)
        assert f"tool-1.0-0 is attested for {target}, and comes from " in error
        assert "a rule for a mirror has `channel`" in error
    world.rule('[attestations]\ntool = {repository = "acme/core", channel = "https://example.com/other"}')
    error = world.refused("create", "-p", "env", "tool", status=3)
    assert "is attested for https://example.com/staging, and not for https://example.com/other" in error
    world.rule('[attestations]\ntool = {repository = "acme/core", channel = "https://example.com/staging/"}')
    world.done("create", "-p", "env", "tool")
    (package,) = world.done("list", "-p", "env", "--json").document["packages"]
    assert package["attestations"][0]["channel"] == "https://example.com/staging"
    assert (
        "attested by GitHub acme/core release.yml for https://example.com/staging"
        in world.done("why", "-p", "env", "tool").out
    )
    assert world.done("policy", "check", "env", "--json").document["breaches"] == []
    world.rule('[attestations]\ntool = {repository = "acme/core"}')
    assert len(world.bridge("policy", "check", "env", "--json").document["breaches"]) == 1


@pytest.mark.parametrize(
    "target",
    [
        "https://example.com/",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("", "example", "https://a b/c")),
    ],
)
def test_a_channel_of_an_attestation_is_a_url(world: World, target: str) -> None:
    world.attested_package("tool", target=target)
    world.index_channel()
    world.rule('[attestations]\ntool = {repository = "acme/core"}')
    assert "names no URL of a channel" in world.refused("create", "-p", "env", "tool", status=5)


def test_one_valid_attestation_of_several_is_enough(world: World) -> None:
    package = next((world.folder / "channel").rglob("tool-*.conda"))
    own = json.loads(world.sigstore.sidecar(package, "acme/core"))
    foreign = json.loads(OwnSigstore().sidecar(package, "acme/core"))
    of_others = json.loads(
        world.sigstore.sidecar(package, "acme/core", kind="https://slsa.dev/provenance/v1", name="x")
    )
    world.rule('[attestations]\ntool = {repository = "acme/core"}')
    for documents, status in (([*foreign, *own], 0), ([*of_others, *own], 0), (of_others, 3), ([*foreign, {}], 5)):
        world.advertise(package, json.dumps(documents).encode())
        world.index_channel()
        assert world.bridge("create", "-p", "env", "tool", "--dry-run").status == status


def test_a_wheel_may_have_its_tags_in_another_order(world: World) -> None:
    wheel = make_wheel(world.folder / "wheels", "core", "1.0", tag="py2.py3-none-any")
    provenance = world.sigstore.provenance(wheel, "acme/core", name="core-1.0-py3.py2-none-any.whl")
    world.index.add(f"/integrity/{wheel.name}", provenance, content_type="application/json")
    world.index.publish(wheel, facts={"provenance": f"{world.index.url}/integrity/{wheel.name}"})
    world.rule(OF_CORE)
    world.done("create", "-p", "env", "python", "pypi:core", "--dry-run")


def test_attestations_go_along_with_a_conversion(world: World) -> None:
    world.attested()
    world.done("convert", "core", "-o", "out", "--index")
    (package,) = (world.folder / "out").rglob("*.conda")
    info = package_info(package)
    name = "core-1.0-py3-none-any.whl"
    wheel = world.folder / "wheels" / name
    provenance = json.loads(info[f"info/attestations/{name}.provenance"])
    (bundle,) = provenance["attestation_bundles"]
    statement = json.loads(base64.b64decode(bundle["attestations"][0]["envelope"]["statement"]))
    assert statement["subject"][0]["digest"]["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    publisher = {"publisher": "GitHub", "repository": "acme/core", "workflow": "release.yml"}
    assert json.loads(info["info/index.json"])["wheel_attestations"] == [publisher]
    world.done("create", "-p", "env", "python", "conda:core", "-c", "out", "-c", "channel")
    listed = {each["name"]: each for each in world.done("list", "-p", "env", "--json").document["packages"]}
    assert (listed["core"]["attestations"], listed["core"]["wheel_attestations"]) == ([], [publisher])
    assert (
        "made from a wheel of GitHub acme/core release.yml, says its channel"
        in world.done("why", "-p", "env", "core").out
    )


def test_a_conversion_without_the_attestation_that_is_announced(world: World) -> None:
    wheel = make_wheel(world.folder / "wheels", "core", "1.0")
    world.index.publish(wheel, facts={"provenance": f"{world.index.url}/integrity/gone"})
    ran = world.done("convert", "core", "-o", "out")
    assert "the index announces an attestation that is not there" in ran.err


def test_a_channel_signs_its_packages(world: World) -> None:
    channel = world.folder / "channel"
    world.rule('[attestations]\nplain = {publisher = "GitHub", repository = "acme/core", workflow = "release.yml"}')
    assert "error[no-identity]" in world.refused_index("--sign", environ={"GITHUB_ACTIONS": ""})
    assert not list(channel.rglob("plain*.sigs.*"))
    with OwnServers(world.sigstore, "acme/core") as servers:
        config = world.sigstore.write_config(world.folder / "trust.json", servers.url)
        environ = {"SIGSTORE_IDENTITY_TOKEN": identity_token()}
        ran = world.bridge("index", "channel", f"--sign={config}", "--json", environ=environ)
    assert ran.status == 0, ran.err
    signed = {Path(each).name.partition("-")[0] for each in ran.document["signed"]}
    assert signed == {"plain", "python"}  # `tool` has an attestation
    world.done("create", "-p", "env", "plain", "tool")
    listed = {each["name"]: each for each in world.done("list", "-p", "env", "--json").document["packages"]}
    publisher = {"publisher": "GitHub", "repository": "acme/core", "workflow": "release.yml"}
    assert listed["plain"]["attestations"] == [publisher]


def test_a_channel_signs_its_packages_for_the_channel_that_the_user_names(world: World) -> None:
    world.rule('[attestations]\nplain = {repository = "acme/core"}')
    assert "--target-channel needs --sign" in world.refused_index("--target-channel", "conda-forge")
    for text in ("host", ""):
        assert "error[invalid-channel]" in world.refused_index("--sign", "--target-channel", text)
    with OwnServers(world.sigstore, "acme/core") as servers:
        config = world.sigstore.write_config(world.folder / "trust.json", servers.url)
        environ = {"SIGSTORE_IDENTITY_TOKEN": identity_token()}
        target = ("--target-channel", "https://user:word@example.com/t/tk-1234/staging/")
        ran = world.bridge("index", "channel", f"--sign={config}", *target, "--json", environ=environ)
    assert ran.status == 0, ran.err
    error = world.refused("create", "-p", "env", "plain", status=3)
    assert "plain-1.0-0 is attested for https://example.com/staging, and comes from " in error
    world.rule('[attestations]\nplain = {repository = "acme/core", channel = "https://example.com/staging"}')
    world.done("create", "-p", "env", "plain")


def test_an_attestation_of_other_bytes_is_not_advertised(world: World) -> None:
    channel = world.folder / "channel"
    (package,) = channel.rglob("tool-*.conda")
    make_conda(channel, "tool", "1.0", files={"share/other.txt": b"changed"})
    ran = world.done("index", "channel", "--json")
    assert any("it attests other bytes than the package has" in each for each in ran.document["warnings"])
    records = json.loads((channel / "noarch" / "repodata.json").read_text())["packages.conda"]
    assert "attestations_sha256" not in records[package.name]
