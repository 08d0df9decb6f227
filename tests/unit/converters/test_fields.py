"""`converters.fields` reads METADATA as the e-mail parser of `packaging` does, and plain METADATA without it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.metadata import parse_email

from converters.fields import read_fields

UNUSED = {"requires", "description", "keywords", "platforms", "download_url", "description_content_type"}
NAMES = ("Name", "name", "Version", "Requires-Dist", "Requires-Python", "Summary", "License", "Project-URL",
         "Author", "Provides-Extra", "Dynamic", "Home-page", "Odd-Field", "Requires", "Keywords")  # fmt: skip


def assert_same(data: bytes) -> None:
    (raw, unparsed), (theirs, their_unparsed) = read_fields(data), parse_email(data)
    assert {k: v for k, v in raw.items() if k not in UNUSED} == {k: v for k, v in theirs.items() if k not in UNUSED}
    for field in ("name", "version", "requires-python", "requires-dist", "provides-extra", "project-url"):
        assert unparsed.get(field) == their_unparsed.get(field)


@given(
    st.lists(
        st.one_of(
            st.builds("{}: {}".format, st.sampled_from(NAMES), st.text("ab, é:;=?.\t\x0b\x85'", max_size=8)),
            st.sampled_from(["", " more", "\tmore é ", "no field", ": nothing", "From me", "Name:", "x\r", "A:\x00"]),
        ),
        max_size=6,
    ),
    st.sampled_from(["", "\n\nThe text.\n\nMore: text"]),
)
def test_any_header_is_read_as_by_packaging(lines: list[str], text: str) -> None:
    assert_same(("\n".join(lines) + text).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"Metadata-Version: 2.1\nName: a\nVersion: 1\nRequires-Dist: b>=1; extra == 'x'\nRequires-Dist: c\n\nText",
        b"Name: a\nVersion: 1\nLicense: MIT\n        Permission is granted\n        \n        to all\n\n",
        b"Name: a\nVersion: 1\nAuthor: \xc3\xa9ric\n \xc3\xa9more\n\n",
        b"Name: a\nVersion: 1\nAuthor: \xe9ric\n\n",
        b"Name: a\nVersion: 1\nVersion: 2\nProject-URL: Home, https://a\nProject-URL: Home, https://b\n\n",
        b"Name: a\nVersion: 1\nSummary: =?utf-8?q?=C3=A9?=\n\n",
        b"Name: a\nVersion: 1\nProject-URL: no comma\nAuthor-email: \n\n",
        b" Name: a\nVersion: 1\n",
        b"",
    ],
)
def test_headers_of_real_kinds(data: bytes) -> None:
    assert_same(data)


def test_plain_metadata_needs_no_e_mail_parser() -> None:
    code = (
        "import sys; from converters.fields import read_fields\n"
        "assert read_fields(b'Name: a\\nVersion: 1\\n\\nText')[0] == {'name': 'a', 'version': '1'}\n"
        "assert 'email' not in sys.modules and 'packaging' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
