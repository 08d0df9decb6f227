"""A seeded sample of real releases, each converted for every place and judged by packaging and py-rattler."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import zstandard
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tests.support.conversion_meaning import Judge, Release

# Real shapes, by hand: they are judged where the frozen data is not there.
RELEASES = [
    Release(
        name="requests",
        version="2.32.3",
        requires_dist=("urllib3<3,>=1.21.1", "PySocks!=1.5.7,>=1.5.6; extra == 'socks'"),
    ),
    Release(
        name="cryptography",
        version="46.0.6",
        requires_dist=(
            "cffi>=1.14; python_full_version == '3.8.*' and platform_python_implementation != 'PyPy'",
            "cffi>=2.0.0; python_full_version >= '3.9' and platform_python_implementation != 'PyPy'",
            "typing-extensions>=4.13.2; python_full_version < '3.11'",
            "bcrypt>=3.1.5; extra == 'ssh'",
        ),
        requires_python="!=3.9.0,!=3.9.1,>=3.8",
    ),
    Release(
        name="coverage",
        version="7.14.0",
        requires_dist=(
            "tomli; python_full_version <= '3.11' and extra == 'toml'",
            "b; implementation_version > '3.12'",
        ),
    ),
    Release(name="pytest-cov", version="7.1.0", requires_dist=("coverage[toml]>=7.10.6",)),
    Release(
        name="black",
        version="25.1.0",
        requires_dist=(
            "click>=8.0.0",
            "tomli>=1.1.0; python_version < '3.11'",
            "typing-extensions>=4.0.1; python_version < '3.11'",
            "colorama>=0.4.3; extra == 'colorama'",
            "aiohttp!=3.9.0,>=3.7.4; (sys_platform != 'win32' or implementation_name != 'pypy') and extra == 'd'",
            "aiohttp!=3.9.0,>=3.7.4; (sys_platform == 'win32' and implementation_name == 'pypy') and extra == 'd'",
        ),
        requires_python=">=3.9",
    ),
    Release(
        name="tool",
        version="1.0",
        requires_dist=(
            "requests[socks]~=2.10",
            "colorama; platform_system == 'Windows'",
            "backport; 'linux' in sys_platform and '3.12' > python_version",
            "tool[fast,more]; extra == 'all'",
            "numpy<3,>=1.26.0rc1; extra == 'fast'",
            "scipy>1.7,!=1.9.*; extra == 'more' and platform_machine == 'arm64'",
        ),
    ),
]  # fmt: skip


def test_known_shapes() -> None:
    """Two differences that the whole corpus showed once are among them: pytest-cov's and cryptography's."""
    judge = Judge({release.name: [release] for release in RELEASES})
    for release in RELEASES:
        judge.judge(release)
    assert judge.wrong == []
    assert judge.counted["records"] >= 9
    assert judge.counted["dependencies"] > 100


@pytest.mark.slow
@pytest.mark.shared
def test_a_sample_of_real_releases(shared: Path) -> None:
    packed = (shared / "data/pypi/files.jsonl.zst").read_bytes()
    universe: dict[str, list[Release]] = {}
    for line in zstandard.ZstdDecompressor().decompressobj().decompress(packed).decode().splitlines():
        entry = json.loads(line)
        lines = tuple(entry["requires_dist"] or ())
        try:
            is_small = len([Requirement(text) for text in lines]) <= 60
        except InvalidRequirement:
            continue
        if is_small:
            release = Release(
                name=canonicalize_name(entry["name"]),
                version=entry["version"],
                requires_dist=lines,
                requires_python=entry["requires_python"],
            )
            universe.setdefault(release.name, []).append(release)
    everything = [release for releases in universe.values() for release in releases]
    judge = Judge(universe)
    for release in random.Random(20260).sample(everything, 40):
        judge.judge(release)
    assert judge.wrong == []
