"""A sample of the seeded defects of `benchmarks/audit_defects.py`, and metadata of noise: findings, never a crash."""

from __future__ import annotations

import os
import random
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import prefix
from bridge.audit.packages import package_list
from bridge.audit.report.facts import gather
from bridge.audit.report.page import page
from bridge.audit.report.sbom import bill_of_materials
from bridge.audit.run import audit
from tests.support.audit_cases import LINUX, NAMES, numpy
from tests.support.defect_run import Outcome, run_defects
from tests.support.defects import KINDS
from tests.support.prefixes import SITE, PrefixBuilder


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, bridge_cache: Path) -> list[Outcome]:
    folder = tmp_path_factory.mktemp("defects")
    (folder / "cache").symlink_to(bridge_cache)
    return list(run_defects(folder, ("venv", "conda"), 60, random.Random(20)))


@pytest.mark.slow
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


@pytest.mark.slow
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


def odd(made: PrefixBuilder) -> None:
    """Names, kinds and contents that no tool would make, and that a damaged disk or a hostile wheel might."""
    numpy(made)
    site = made.root / SITE
    Path(os.fsdecode(os.fsencode(str(site)) + b"/\xff\xfe.py")).write_bytes(b"")
    for name in ("loop.dist-info", "loop", "loop.pth"):
        (site / name).symlink_to(name)
    for name in (
        "x.pth",
        "y.so",
        "empty.dist-info",
        "-1.0.dist-info",
        ".dist-info",
        "m.dist-info/METADATA",
        "m.dist-info/RECORD",
    ):
        (site / name).mkdir(parents=True)
    for name in ("z.pth", "w.cpython-312-x86_64-linux-gnu.so", "m.dist-info/WHEEL"):
        os.mkfifo(site / name)
    os.mkfifo(made.root / "bin/fifo")
    (site / "file.dist-info").write_bytes(b"x")
    (made.root / "conda-meta/dir.json").mkdir()
    (made.root / "pyvenv.cfg").mkdir()
    made.write("conda-meta/\u202eevil-1-0.json", b"{}")
    made.write(
        f"{SITE}/w-1.dist-info/RECORD", b'"open,,\n../../../../etc/passwd,,\n/etc/passwd,,\nok.py,sha256=zz,abc\n\0,,\n'
    )
    made.write(f"{SITE}/w-1.dist-info/METADATA", b"Name: \nVersion: \n")
    asks = b"Requires-Dist: (((\nRequires-Dist: a; b\nRequires-Python: zzz\n" + b"Requires-Dist: x>=1\n" * 10
    made.write(f"{SITE}/v-1.dist-info/METADATA", b"Name: v\nVersion: 1\n" + asks)


def test_a_prefix_of_oddities_is_audited_and_reported(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    odd(made)
    report = audit(made.root, LINUX, NAMES, environ={"HOME": str(tmp_path)})
    assert len(set(report.findings)) == len(report.findings) > 10
    assert all(each.repair[-1][-2:] != "==" for each in report.findings if each.repair), "a command that cannot run"
    state = prefix.read(made.root)
    assert package_list(state, NAMES).rows
    facts = gather(state, LINUX, NAMES, report)
    assert page(facts, datetime(2026, 1, 1, tzinfo=timezone.utc))
    for name in ("bill.json", "bill.xml", "bill.spdx.json", "bill.spdx"):
        assert bill_of_materials(facts, name, datetime(2026, 1, 1, tzinfo=timezone.utc))
