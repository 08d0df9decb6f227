"""What conda packages were judged to hold is remembered; what is remembered is what would be found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.archive.conda import CondaManifest, check_conda
from bridge.cache import packages
from bridge.cache.packages import PackageStore
from bridge.errors import BridgeError, UnsafeInputError
from tests.support.builders import make_conda


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def judged(folder: Path, archive: Path, **options: bool) -> CondaManifest:
    return PackageStore(folder).check(archive, sha256=digest(archive), filename=archive.name, **options)[0]


NAMES = st.from_regex(r"[a-z]{1,3}(/[a-zÉ]{1,3}){0,2}", fullmatch=True)


@pytest.mark.slow
@given(
    st.dictionaries(NAMES, st.binary(max_size=200), max_size=5),
    st.dictionaries(NAMES.map("links/{}".format), st.sampled_from(["../a", "b", "/etc/passwd"]), max_size=2),
    st.sampled_from([("python", ["demo = demo:main"]), ("generic", [])]),
    st.booleans(),
)
@settings(max_examples=60)
def test_what_is_remembered_is_what_would_be_found(
    tmp_path_factory: pytest.TempPathFactory,
    files: dict[str, bytes],
    links: dict[str, str],
    kind: tuple[str, list[str]],
    is_open: bool,
) -> None:
    """MUST: a package is refused, or holds, the same the second time as the first."""
    folder = tmp_path_factory.mktemp("judged")
    noarch, points = kind
    archive = make_conda(
        folder,
        "demo",
        "1.0",
        noarch=noarch,
        entry_points=points,
        files={"bin/.demo-post-link.sh": b"exit 0", **files},
        links=links,
        placeholders=dict.fromkeys(list(files)[:1], ("/opt/placeholder", "text")),
    )

    def outcome(judge: Callable[[], CondaManifest]) -> object:
        try:
            return judge()
        except BridgeError as refusal:
            return type(refusal), refusal.id, refusal.message

    expected = outcome(lambda: check_conda(archive, allow_external_symlinks=is_open))
    for _ in range(2):
        assert outcome(lambda: judged(folder, archive, allow_external_symlinks=is_open)) == expected


def test_it_is_read_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_conda(tmp_path, "demo", "1.0", files={"a": b"x"})
    sha256, first = digest(archive), judged(tmp_path, archive)
    archive.unlink()
    again, _ = PackageStore(tmp_path).check(archive, sha256=sha256, filename=archive.name)
    assert again == first
    monkeypatch.setattr(packages, "__version__", "0.0")  # another version's rules may be others
    with pytest.raises(FileNotFoundError):
        PackageStore(tmp_path).check(archive, sha256=sha256, filename=archive.name)


def test_what_was_allowed_once_is_not_allowed_for_ever(tmp_path: Path) -> None:
    archive = make_conda(tmp_path, "demo", "1.0", links={"out": "/etc/passwd"})
    judged(tmp_path, archive, allow_external_symlinks=True)
    with pytest.raises(UnsafeInputError):
        judged(tmp_path, archive)


def test_what_nobody_hashed_is_not_remembered(tmp_path: Path) -> None:
    archive = make_conda(tmp_path, "demo", "1.0", files={"a": b"x"})
    PackageStore(tmp_path).check(archive, sha256=None, filename=archive.name)
    assert not (tmp_path / "judged").exists()


def test_a_judgement_that_was_damaged_is_none(tmp_path: Path) -> None:
    archive = make_conda(tmp_path, "demo", "1.0", files={"a": b"x"})
    expected = judged(tmp_path, archive)
    [kept] = [path for path in (tmp_path / "judged").rglob("*") if path.is_file()]
    data = kept.read_bytes()
    for point in range(0, len(data), 31):
        kept.write_bytes(data[:point] + bytes([data[point] ^ 1]) + data[point + 1 :])
        assert judged(tmp_path, archive) == expected
        assert kept.read_bytes() == data
        kept.write_bytes(data[:point])
        assert judged(tmp_path, archive) == expected
