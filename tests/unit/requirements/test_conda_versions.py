"""Versions of numbers and dots, and clauses on them, mean what they mean to rattler."""

from __future__ import annotations

import itertools

import pytest
from rattler.match_spec import MatchSpec
from rattler.version import Version, VersionSpec

from bridge.errors import UsageError
from bridge.requirements.conda_versions import conda_version
from bridge.requirements.matchspec import parse_conda

VERSIONS = [
    "1", "1.0", "1.0.0", "0", "0.0", "1.2", "1.2.0", "1.20", "1.10", "2", "3.12", "3.12.7", "01.2", "1.2.3.4",
    "1.0rc1", "1.0a1", "2!1", "0!1", "1.0.post1", "1.2dev", "1_2", "1.0+x", "1.0.0.0.1", "123456789012345678901",
]  # fmt: skip
BOUNDS = ["1", "1.0", "1.2", "1.2.0", "3.12", "3.12.7", "0", "01.2", "1.0rc1"]
CLAUSES = [
    *(sign + bound for sign in ("==", "!=", ">=", "<=", ">", "<", "=", "", "~=") for bound in BOUNDS),
    *(f"{bound}.*" for bound in BOUNDS), "=1.2.*", "==1.2.*", "!=1.2.*", ">=1.*", "*", "=*", ">=1|<0",
]  # fmt: skip


def test_the_order_of_versions() -> None:
    read = [(Version(text), conda_version(text)) for text in VERSIONS if _is_readable(text)]
    assert len(read) > 20
    for (their_one, one), (their_other, other) in itertools.product(read, read):
        assert one is not None
        assert other is not None
        assert (one < other, one == other) == (their_one < their_other, their_one == their_other)


def _is_readable(text: str) -> bool:
    try:
        Version(text)
    except Exception:  # noqa: BLE001 - of rattler
        assert conda_version(text) is None
        return False
    return True


@pytest.mark.parametrize("space", [" ", "", "  ", "3"])
def test_clauses(space: str) -> None:
    texts = [*CLAUSES, *(f"{one},{other}" for one, other in zip(CLAUSES, CLAUSES[7:], strict=False))]
    checked = 0
    for text in (f"python{space}{text}" for text in texts):
        try:
            theirs = MatchSpec(text)
            spec = VersionSpec(str(theirs.version)) if theirs.version and theirs.version != "*" else None
        except Exception:  # noqa: BLE001 - of rattler
            with pytest.raises(UsageError):
                parse_conda(text)
            continue
        ours = parse_conda(text)
        assert (ours.name, ours.build is None) == (str(getattr(theirs.name, "normalized", "")), theirs.build is None)
        for version in filter(conda_version, VERSIONS):
            assert ours.accepts_version(version) == (spec is None or spec.matches(Version(version))), (text, version)
            checked += 1
    assert checked > 100
