"""Policy files: what is read, what is refused, and which rule counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config.policy import Policy, Subject
from bridge.config.policy.places import Place, normal_place
from bridge.config.policy.reading import read_policy, read_rules
from bridge.config.policy.rules import best
from bridge.config.policy_files import project_files
from bridge.config.project import ProjectFiles
from bridge.errors import UsageError

NOW = 1_800_000_000.0


def policy_of(folder: Path, text: str) -> Policy:
    (folder / "bridge-policy.toml").write_text(text)
    return Policy(files=(read_rules(folder / "bridge-policy.toml", NOW),))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("licences = {}", "there is no such key; did you mean licenses?"),
        ("link_scripts = 'deny'", "did you mean link-scripts?"),
        ("[licenses]\nallowed = []", "licenses.allowed: there is no such key"),
        ("licenses = 'MIT'", "a table was expected"),
        ("[licenses]\nallow = [1]", "a text or an array of texts was expected"),
        ("[licenses]\nunknown = 'maybe'", "was expected"),
        ("builds = 'never'", '"allow", "deny" or an array of names was expected'),
        ("builds = true", "was expected, not True"),
        ("hashes = 'required'", "'allow' or 'require' was expected"),
        ("[hashes]\nexcept = ['x']", "hashes.require: true was expected"),
        ("yanked = false", "was expected, not False"),
        ("cooldown = 7", 'a duration ("7 days"), a date or "never" was expected'),
        ("cooldown = 'soon'", "cooldown: 'soon' is not a date"),
        ("[origins]\nx = 3", "origins.x: a text or an array of texts was expected"),
        ("[origins]\nx = 'two words'", "is not a channel, an index or a folder"),
        ("[origins]\na_b = 'x'\n\"a.b\" = 'y'", "a-b has a rule already"),
        ("[attestations]\nx = false", "true or a table of the publisher was expected"),
        ("[attestations.x]\nowner = 'me'", "attestations.x.owner: there is no such key"),
        ("[attestations.x]\nchannel = 'conda-forge'", "attestations.x.channel: the URL of a channel was expected"),
        ("origins = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_an_error_that_names_the_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy_of(tmp_path, text)
    assert caught.value.id == "policy-file"
    assert problem in caught.value.message


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (("*", "acme-*", "acme-core"), "acme-core", "acme-core"),
        (("*", "acme-*", "acme-core-*"), "acme-core-x", "acme-core-*"),
        (("acme-*",), "acme", None),
        (("acme-*",), "my-acme-x", None),
    ],
)
def test_the_pattern_that_says_most_counts(patterns: tuple[str, ...], name: str, expected: str | None) -> None:
    assert best(patterns, name) == expected


@pytest.mark.parametrize(
    ("place", "url", "holds"),
    [
        ("https://idx.example/simple", "https://idx.example/simple/", True),
        ("https://idx.example/simple/", "https://IDX.example:443/simple", True),
        ("https://idx.example", "https://idx.example/a/simple", True),
        ("https://idx.example/simple", "https://user:pass@idx.example/simple", True),
        ("https://idx.example/simple", "https://idx.example/simple-other", False),
        ("https://idx.example/simple", "https://idx.example.evil.example/simple", False),
        ("https://idx.example/simple", "https://idx.example@evil.example/simple", False),
        ("https://idx.example/simple", "http://idx.example/simple", False),
        ("https://idx.example/simple", "https://idx.example/simple/../evil", False),
        ("https://idx.example/simple", "https://idx.example/simple/%2e%2e/evil", False),
        ("https://idx.example/simple", "https://idx.example:8443/simple", False),
        ("https://code.example/acme", "git+https://code.example/acme/tool@main", True),
        ("https://idx.example/own", "https://idx.example/own/linux-64", True),
        ("host", "host", True),
        ("main", "https://evil.example/main", False),
    ],
)
def test_a_place_is_itself_and_what_is_below(place: str, url: str, holds: bool) -> None:
    made = Place.of(place, Path("/"), lambda: "https://default.example/simple")
    assert made.has(normal_place(url)) == holds


def test_paths_start_from_the_file(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, '[origins]\nx = "./wheels"\n')
    assert policy.may_serve(["X"], str(tmp_path / "wheels"))
    assert policy.may_serve(["X"], (tmp_path / "wheels").as_uri())
    assert not policy.may_serve(["X"], str(tmp_path / "others"))


def test_the_name_of_a_channel_is_what_configuration_makes_of_it(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, '[origins]\nx = "forge"\n')
    assert not policy.may_serve(["x"], "https://conda.example/forge")
    located = policy.located(lambda name: [f"https://conda.example/{name}"])
    assert located.may_serve(["x"], "https://conda.example/forge")
    assert located.may_serve(["x"], "forge")


def test_the_nearest_file_counts_and_the_tables_of_others_do_not(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "src"
    inner.mkdir(parents=True)
    (tmp_path / "bridge-policy.toml").write_text('builds = "deny"\n')
    (tmp_path / "project" / "pyproject.toml").write_text('[project]\nname = "bridge-policy"\n')
    found = read_policy([], project_files(ProjectFiles(inner)), NOW)
    assert found is not None
    assert [each.shown for each in found.files] == [str(tmp_path / "bridge-policy.toml")]
    (tmp_path / "project" / "pyproject.toml").write_text('[tool.bridge.policy]\nyanked = "deny"\n')
    found = read_policy([], project_files(ProjectFiles(inner)), NOW)
    assert found is not None
    assert found.files[0].table == "tool.bridge.policy."


@pytest.mark.parametrize(
    "text",
    [
        '[tool.bridge.policy]\nyanked = "deny"\n',
        '[tool.bridge]\npolicy = {yanked = "deny"}\n',
        '[tool.bridge]\npolicy.yanked = "deny"\n',
        '[tool]\nbridge.policy.yanked = "deny"\n',
        'tool.bridge.policy.yanked = "deny"\n',
        '[ tool . "bridge" . "policy" ]\nyanked = "deny"\n',
    ],
)
def test_every_spelling_of_the_table_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    found = read_policy([], project_files(ProjectFiles(tmp_path)), NOW)
    assert found is not None
    assert found.files[0].denies_yanked


@pytest.mark.parametrize(
    ("text", "rules", "facts"),
    [
        ('yanked = "deny"', ["yanked"], {"yanked": ""}),
        ('builds = ["other"]', ["builds"], {"is_source": True}),
        ('builds = ["x"]', [], {"is_source": True}),
        ('hashes = "require"', ["hashes"], {"has_hash": False}),
        ('hashes = {require = true, except = ["x"]}', [], {"has_hash": False}),
        ('hashes = "require"', ["hashes"], {"origin": "", "url": "https://a.example/x.whl"}),
        ('hashes = "require"', [], {"origin": "", "url": "https://a.example/x.whl#sha256=" + "0" * 64}),
        ('hashes = "require"', ["hashes"], {"origin": "", "url": "git+https://a.example/x@main"}),
        ('hashes = "require"', [], {"origin": "", "url": "git+https://a.example/x@" + "0" * 40}),
        ('cooldown = "1 day"', ["cooldown"], {"timestamp": int(NOW * 1000)}),
        ('cooldown = {default = "1 day", x = "never"}', [], {"timestamp": int(NOW * 1000)}),
        ('cooldown = "1 day"', ["cooldown"], {"is_index_file": True}),
        ('cooldown = "1 day"', [], {}),
        ("[origins]\nx = []", ["origins.x"], {}),
        ('[sources]\n"https://idx.example" = ["y"]', ['sources."https://idx.example"'], {}),
        ('[licenses]\nallow = ["MIT"]', ["licenses"], {"license": None}),
        ('[licenses]\nallow = ["MIT"]\nexceptions = ["x"]', [], {"license": None}),
        ('[licenses]\nallow = ["MIT"]', [], {"license": None, "is_license_known": False}),
    ],
)
def test_what_breaks_a_rule(tmp_path: Path, text: str, rules: list[str], facts: dict[str, object]) -> None:
    subject = Subject(**{"label": "x 1.0", "names": ("x",), "origin": "https://idx.example/simple"} | facts)  # type: ignore[arg-type]
    assert [each.rule for each in policy_of(tmp_path, text).breaches(subject)] == rules


def test_a_lock_is_not_believed_about_another_host(tmp_path: Path) -> None:
    text = '[origins]\nx = "https://idx.example/simple"\n'
    lying = Subject(
        label="x",
        names=("x",),
        origin="https://idx.example/simple",
        url="https://files.example/x-1-py3-none-any.whl",
        is_claimed=True,
    )
    (breach,) = policy_of(tmp_path, text).breaches(lying)
    assert breach.rule == 'files."https://idx.example/simple"'
    text += '[files]\n"https://idx.example/simple" = "https://files.example"\n'
    assert not list(policy_of(tmp_path, text).breaches(lying))
