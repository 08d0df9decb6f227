"""What a MatchSpec asks of the file itself: met by that file alone, and never passed over in silence."""

from __future__ import annotations

import pytest

from bridge.errors import NoSolutionError, UsageError
from bridge.requirements.algebra import parse_conda
from bridge.resolve import SolveRequest, resolve
from bridge.resolve.preflight import bound_to_channels
from tests.support.resolver_worlds import CHANNEL, World, picks, record, requests

OLD, NEW = "1c207b571091fa072258c2c69f6f79cf", "0" * 32
URL = f"{CHANNEL}/linux-64/zlib"
WORLD = World(
    records=(
        record("zlib", "1.0", build="h_0", md5=OLD, sha256="a" * 64, license="Zlib", track_features="old slow"),
        record("zlib", "2.0", build="h_0", md5=NEW, sha256="b" * 64, license="MIT"),
        record("zlib", "3.0", build="h_0"),
    )
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("zlib", "3.0"),
        (f"zlib[md5={OLD}]", "1.0"),
        (f"zlib[md5={OLD.upper()}]", "1.0"),
        (f"zlib[sha256={'b' * 64}]", "2.0"),
        (f"zlib[sha256={'c' * 64}]", None),
        (f"zlib[version='>=2',md5={OLD}]", None),
        ("zlib[fn=zlib-1.0-h_0.conda]", "1.0"),
        ("zlib[fn=zlib-9.0-h_0.conda]", None),
        ("zlib[license=Zlib]", "1.0"),
        ("zlib[license='MIT, or so]']", None),
        ("zlib[track_features=slow]", "1.0"),
        ("zlib[track_features='slow fast']", None),
        (f"{URL}-1.0-h_0.conda", "1.0"),
        (f"{URL}-1.0-h_0.conda#{OLD}", "1.0"),
        (f"{URL}-1.0-h_0.conda#{NEW}", None),
        (f"{URL}-2.0-h_0.conda#sha256:{'b' * 64}", "2.0"),
        (f"{URL}-9.0-h_0.conda", None),
    ],
)
def test_only_what_the_file_is_meets_it(text: str, version: str | None) -> None:
    try:
        found = picks(WORLD.solve([text], []))
    except NoSolutionError:
        found = {}
    assert found.get("zlib") == (f"conda {version}" if version else None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zlib[license_family=MIT]", "does not support the field `license_family`"),
        ("zlib[flags=[x]]", "does not support the field `flags`"),
        ("zlib 1.0 h_0 more", "'h_0 more' is not a build string"),
        ('zlib ==1.0 ; python_version >= "3" and', "is not a build string"),
        (f"{URL}-1.0-h_0.conda#what", "'what' is not a hash"),
    ],
)
def test_what_nothing_here_can_judge_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="not a MatchSpec") as caught:
        parse_conda(text)
    assert said in " ".join(caught.value.context)


def test_a_channel_clause_is_bound_to_the_channels_it_names() -> None:
    reached: list[tuple[str, str]] = []

    def reach(name: str, clause: str) -> frozenset[str]:
        reached.append((name, clause))
        return frozenset({CHANNEL})

    wanted = requests([f"{URL}-1.0-h_0.conda", "https://other.example/owner/label/dev::zlib", "zlib"], ["demo"])
    bound = bound_to_channels(wanted, reach)
    assert reached == [("zlib", CHANNEL), ("zlib", "https://other.example/owner/label/dev")]
    assert [None if each.conda is None else set(each.conda.origins) for each in bound] == [
        set(),
        {CHANNEL},
        set(),
        None,
    ]
    assert picks(resolve(SolveRequest(requirements=tuple(bound[1:2])), WORLD.catalog())) == {"zlib": "conda 3.0"}


@pytest.mark.parametrize(
    ("clause", "origin", "is_met"),
    [
        ("conda-forge", "https://any.example/conda-forge", True),
        ("nvidia/label/cuda-12.1.0", "https://any.example/nvidia/label/cuda-12.1.0", True),
        ("label/cuda-12.1.0", "https://any.example/nvidia/label/cuda-12.1.0", True),
        ("forge", "https://any.example/conda-forge", False),
        ("https://any.example/a/b", "https://any.example/a/b", True),
        ("https://any.example/a/b", "https://other.example/a/b", False),
        ("https://any.example/a/b/linux-64", "https://any.example/a/b", True),
        ("host", "host", True),
        ("*", "https://any.example/a/b", True),
        ("*/linux-64", "https://any.example/a/b", True),
        ("*/osx-64", "https://any.example/a/b", False),
        ("/srv/channels/b", "file:///srv/channels/b", True),
    ],
)
def test_a_channel_clause_is_the_end_of_a_channels_url(clause: str, origin: str, is_met: bool) -> None:
    assert parse_conda(f"{clause}::zlib").accepts_build("0", 0, origin, "linux-64") is is_met
