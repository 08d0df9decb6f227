"""`bridge.channels.places`: the URLs of channels, as rattler has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.channels._rattler import base_url
from bridge.channels.places import _PLAIN, channel_url, local
from bridge.config.channel_names import ChannelNames
from bridge.errors import UsageError


def invalid(reason: str) -> UsageError:
    return UsageError("invalid-channel", reason)


@given(
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["https", "http", "file", "HTTPS"]),
        st.sampled_from(
            ["a.example", "127.0.0.1", "127.1", "A.example", "a-b.example", "1.2", "xn--a.example", "", "x"]
        ),
        st.sampled_from(["", ":8080", ":443", ":80", ":0080", ":99999"]),
        st.lists(
            st.sampled_from(["", "conda-forge", "..", ".", ".x", "a b", "%41", "linux-64", "t", "x~1"]), max_size=4
        ).map(lambda parts: "".join(f"/{part}" for part in parts)),
    )
)
def test_a_url_that_rattler_is_not_asked_for_is_as_rattler_has_it(text: str) -> None:
    if _PLAIN.fullmatch(text):
        assert channel_url(text) == base_url(text, invalid)


@pytest.mark.parametrize("text", ["https://a.example/conda-forge/", "file:///srv/channel", "http://127.0.0.1:8080/c"])
def test_usual_urls_do_not_need_rattler(text: str) -> None:
    assert _PLAIN.fullmatch(text)


def test_local_channels_are_the_directories_among_all(tmp_path: Path) -> None:
    texts = ["conda-forge", "host", str(tmp_path), "https://a.example/x", tmp_path.as_uri(), "file:///srv/channel"]
    assert local(texts, ChannelNames()) == [tmp_path.as_uri(), "file:///srv/channel"]
