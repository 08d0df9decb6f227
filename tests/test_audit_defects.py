"""A sample of the seeded defects of `benchmarks/audit_defects.py`, and metadata of noise: findings, never a crash."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.audit import audit
from tests.audit_cases import LINUX, NAMES, numpy
from tests.defect_run import Outcome, run_defects
from tests.defects import KINDS
from tests.prefixes import SITE, PrefixBuilder


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, bridge_cache: Path) -> list[Outcome]:
    folder = tmp_path_factory.mktemp("defects")
    (folder / "cache").symlink_to(bridge_cache)
    return list(run_defects(folder, ("venv", "conda"), 60, random.Random(20)))


def test_defects_are_found_and_nothing_else(outcomes: list[Outcome]) -> None:
    """MUST (reliability T12): every seeded damage is found, and nothing is said of what is sound."""
    assert len(outcomes) == 60
    wrong = [f"{each.environment}: {each.kind}: {each.complaint}" for each in outcomes if not each.is_right]
    assert not wrong, "\n".join(wrong)
    assert any(each.is_culprit_right for each in outcomes), "a sample without a culprit shows nothing of culprits"


def test_there_are_many_kinds_of_defects() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 80


METADATA = [
    "conda-meta/numpy-1.26.4-0.json",
    "conda-meta/history",
    f"{SITE}/numpy-1.26.4.dist-info/METADATA",
    f"{SITE}/numpy-1.26.4.dist-info/RECORD",
    f"{SITE}/numpy-1.26.4.dist-info/WHEEL",
    f"{SITE}/numpy-1.26.4.dist-info/INSTALLER",
    f"{SITE}/numpy-1.26.4.dist-info/direct_url.json",
    f"{SITE}/extra.pth",
    f"{SITE}/extra.egg-link",
    f"{SITE}/__editable___numpy_finder.py",
    f"{SITE}/x.cpython-312-x86_64-linux-gnu.so",
    "bin/script",
    "pyvenv.cfg",
]
NOISE = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [b"\x7fELF\x02\x01\x01", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0\0\0\1", b"#!", b"#!/"]
    ).flatmap(lambda head: st.binary(max_size=200).map(lambda tail: head + tail)),
    st.sampled_from(
        [b"{}", b"[]", b"null", b'{"paths_data": {"paths": [null]}}', b"[" * 5000, b'{"a":' * 3000, b"\xff\xfe"]
    ),
    st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@settings(max_examples=120, deadline=None)
@given(written=st.dictionaries(st.sampled_from(METADATA), NOISE, min_size=1, max_size=4), cut=st.integers(0, 400))
def test_noise_is_a_finding_and_never_a_crash(written: dict[str, bytes], cut: int) -> None:
    """MUST (issue): damaged metadata is a finding, never a crash; whatever is found can be shown."""
    with tempfile.TemporaryDirectory() as folder:
        made = PrefixBuilder(Path(folder, "env"))
        numpy(made)
        changed: set[str] = set()
        for path, data in written.items():
            before = (made.root / path).read_bytes() if (made.root / path).is_file() else b""
            made.write(path, before[:cut] + data if cut % 2 else data)
        report = audit(made.root, LINUX, NAMES, environ={"HOME": folder, "PYTHONPATH": "/nowhere"})
        assert report.to_json()
        if changed & {METADATA[0], METADATA[2], METADATA[3]}:
            assert report.findings
