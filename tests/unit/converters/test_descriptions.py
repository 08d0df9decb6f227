"""What METADATA says for people: licences and URLs."""

from __future__ import annotations

import pytest
from packaging.licenses import canonicalize_license_expression

from converters.descriptions import _SPDX, license_name, well_known_urls
from converters.metadata import parse_metadata

MIT = "License :: OSI Approved :: MIT License"
BSD = "License :: OSI Approved :: BSD License"
TEXT = "Copyright (c) 2020 somebody\n\nPermission is hereby granted, free of charge, to any person ..."


@pytest.mark.parametrize(
    ("expression", "text", "classifiers", "expected"),
    [
        ("MIT", None, [], "MIT"),
        ("mit or apache-2.0", None, [], "MIT OR Apache-2.0"),
        ("LicenseRef-Own", "MIT", [], "LicenseRef-Own"),
        ("not an expression", "MIT", [], "MIT"),
        (None, "Apache-2.0", [MIT], "Apache-2.0"),
        (None, "Apache 2.0", [], "Apache-2.0"),
        (None, "3-Clause BSD License", [BSD], "BSD-3-Clause"),
        (None, TEXT, [MIT], "MIT"),
        (None, TEXT, [BSD], "BSD License"),
        (None, TEXT, ["License :: OSI Approved", BSD], "BSD License"),
        (None, TEXT, [MIT, BSD], "MIT License, BSD License"),
        (None, TEXT, ["Programming Language :: Python"], None),
        (None, TEXT, [], None),
        (None, "see LICENSE file", [], None),
        (None, "See the file COPYING", [BSD], "BSD License"),
        (None, "LICENSE.txt", [], None),
        (None, "license", [], None),
        (None, "Copyright 2020 somebody", [], None),
        (None, "-", [], None),
        (None, "N/A", [], None),
        (None, "https://example.com/terms", [], None),
        (None, "https://opensource.org/licenses/MIT", [], "MIT"),
        (None, "https://spdx.org/licenses/Apache-2.0.html", [], "Apache-2.0"),
        (None, "Licence Ouverte", [], "Licence Ouverte"),
        (None, "BSD", [], "BSD"),
        (None, "BSD", [BSD], "BSD License"),
        (None, "Proprietary", ["License :: Other/Proprietary License"], "Other/Proprietary License"),
        (None, "This program is free software; you can redistribute it and/or modify it under the terms", [], None),
        (None, "  ", [], None),
        (None, None, [], None),
    ],
)
def test_a_licence_is_spdx_or_a_short_name(
    expression: str | None, text: str | None, classifiers: list[str], expected: str | None
) -> None:
    assert license_name(expression, text, classifiers) == expected


def test_every_known_name_stands_for_spdx() -> None:
    assert {name: canonicalize_license_expression(spdx) for name, spdx in _SPDX.items()} == _SPDX
    assert {"mit", "bsd-3-clause", "apache-2.0", "python-2.0"} <= _SPDX.keys()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["Homepage, https://h", "Source, https://s", "Documentation, https://d"],
            ("https://h", "https://s", "https://d"),
        ),
        (
            ["Home-Page, https://h", "source code, https://s", "Docs, https://d"],
            ("https://h", "https://s", "https://d"),
        ),
        (["GitHub, https://s", "Changelog, https://c"], ("https://s", "https://s", None)),
        (["Repository, https://s", "Repository, https://t"], ("https://s", "https://s", None)),
        (["Bug Tracker, https://b"], (None, None, None)),
        (["Homepage"], (None, None, None)),
    ],
)
def test_urls_by_their_well_known_labels(lines: list[str], expected: tuple[str | None, ...]) -> None:
    text = "Metadata-Version: 2.1\nName: a\nVersion: 1\n" + "".join(f"Project-URL: {line}\n" for line in lines)
    metadata = parse_metadata(text.encode(), "a")
    assert (metadata.home_page, metadata.source_url, metadata.documentation_url) == expected
    assert well_known_urls(reversed(lines)).keys() == well_known_urls(lines).keys()


def test_home_page_counts_before_a_label() -> None:
    text = b"Metadata-Version: 2.1\nName: a\nVersion: 1\nHome-page: https://own\nProject-URL: Homepage, https://h\n"
    assert parse_metadata(text, "a").home_page == "https://own"


def test_a_repeated_requires_python_counts_once() -> None:
    text = b"Metadata-Version: 2.1\nName: a\nVersion: 1\nRequires-Python: >=3.6\nRequires-Python: >=3.6\n"
    assert parse_metadata(text, "a").requires_python == ">=3.6"


def test_a_folded_requirement_is_one_line() -> None:
    text = (
        b"Metadata-Version: 2.1\nName: a\nVersion: 1\nRequires-Dist: b\n  >=2\nRequires-Dist: c\r\n\t; extra == 'x'\n\n"
    )
    assert [each.split() for each in parse_metadata(text, "a").requires_dist] == [
        ["b", ">=2"], ["c", ";", "extra", "==", "'x'"],
    ]  # fmt: skip
