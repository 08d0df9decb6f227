"""Read what METADATA says for people: the licence's name, and the URLs of a project by their labels.

Sources: the core metadata specification (License-Expression is SPDX; License may be a whole text), PyPI's list of
classifiers, and the specification of well-known labels in Project-URL, whose labels are compared without case,
punctuation and blanks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from converters.deferred import regex

__all__ = ["author_text", "license_name", "people", "spdx_expression", "stated", "well_known_urls"]

_LONGEST_NAME = 80  # characters of a licence's name; longer ones are sentences
_LABELS: Mapping[str, str] = {
    label: kind
    for kind, labels in {
        "home": "homepage",
        "source": "source repository sourcecode github",
        "documentation": "documentation docs",
    }.items()
    for label in labels.split()
}
# Names that have one meaning; "BSD" and "Apache" have several.
_SPDX = {
    "mit license": "MIT",
    "the mit license": "MIT",
    "mit no attribution license (mit-0)": "MIT-0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "3-clause bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "modified bsd license": "BSD-3-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "2-clause bsd license": "BSD-2-Clause",
    "simplified bsd license": "BSD-2-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mpl 2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "zope public license": "ZPL-2.1",
    "boost software license 1.0 (bsl-1.0)": "BSL-1.0",
    "zlib/libpng license": "Zlib",
    **{
        f"{name}{plus}": f"{name[:-2].upper()}-{name[-1]}.0-{which}"
        for name in ("gplv2", "gplv3", "lgplv3", "agplv3")
        for plus, which in (("", "only"), ("+", "or-later"))
    },
    "gnu general public license v2 (gplv2)": "GPL-2.0-only",
    "gnu general public license v2 or later (gplv2+)": "GPL-2.0-or-later",
    "gnu general public license v3 (gplv3)": "GPL-3.0-only",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
    "gnu lesser general public license v2 (lgplv2)": "LGPL-2.0-only",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.0-or-later",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "gnu affero general public license v3": "AGPL-3.0-only",
    "gnu affero general public license v3 or later (agplv3+)": "AGPL-3.0-or-later",
    "cc0 1.0 universal (cc0 1.0) public domain dedication": "CC0-1.0",
}
_SPDX = {spdx.lower(): spdx for spdx in (*_SPDX.values(), "0BSD", "Python-2.0", "LGPL-2.1-or-later")} | _SPDX
_VAGUE = frozenset({"osi approved", "license"})
_PAGE = regex(r"https?://(?:www\.)?(?:opensource\.org/licenses?|spdx\.org/licenses)/([\w.+-]+?)(?:\.html|\.php)?/?")
_ELSEWHERE = regex(
    r"see\b.*|copyright\b.*|\(c\).*|.*://.*|\W*|n/a|tbd|(?:file:? *)?(?:licen[cs]e|copying|eula)(?:\.\w+| file)?"
)  # where the licence is, or nothing


def stated(text: str | None) -> str | None:
    """Return the text of a field, unless it is a word that tools write where there is none."""
    text = (text or "").strip()
    return None if text.lower() in {"", "none", "unknown"} else text


def license_name(expression: str | None, text: str | None, classifiers: Iterable[str]) -> str | None:
    """Return an SPDX expression, or else a short name; never a part of a text.

    :param expression: License-Expression.
    :param text: License, which counts before the classifiers if it is SPDX, and after them if it is another short name.
    """
    text = stated(text) or ""
    if page := _PAGE.fullmatch(text):
        text = page[1]
    is_name = len(text) <= _LONGEST_NAME and len(text.splitlines()) == 1 and not _ELSEWHERE.fullmatch(text.lower())
    return _license_name((expression or "").strip(), text if is_name else "", tuple(classifiers))


@lru_cache(maxsize=4096)
def _license_name(expression: str, name: str, classifiers: tuple[str, ...]) -> str | None:
    for candidate in (expression, name):
        if spdx := spdx_expression(candidate):
            return spdx
    names = [line.rpartition("::")[2].strip() for line in classifiers if line.startswith("License ::")]
    names = [each for each in dict.fromkeys(names) if each.lower() not in _VAGUE]
    if len(names) == 1:
        return spdx_expression(names[0]) or names[0]
    return ", ".join(names) or name or None  # several: whether all hold or one is chosen is not said


@lru_cache(maxsize=4096)
def spdx_expression(name: str) -> str | None:
    """Return the SPDX expression that a name stands for."""
    if known := _SPDX.get(name.lower()):
        return known
    if not name:
        return None
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression  # noqa: PLC0415 - its table

    try:
        return canonicalize_license_expression(name)
    except InvalidLicenseExpression:
        return None


def author_text(name: str | None, address: str | None) -> str | None:
    """Return the text of Author and Author-email as one; where both are of one person, as `"NAME" <ADDRESS>`."""
    if name and address and not set(",<") & set(address):
        bare = name.replace('"', "").replace("\\", "")
        return f'"{bare}" <{address}>'
    return address or name or None


def people(text: str) -> list[tuple[str, str]]:
    """Return name and address of each author in an Author or Author-email field; one of them may be empty.

    A list of names without addresses is one name, since names contain commas too.
    """
    if "@" not in text:
        name = " ".join(text.split())
        return [(name, "")] if name else []
    from email.utils import getaddresses  # noqa: PLC0415 - slow to import; only a bill of materials needs it

    pairs = ((" ".join(name.split()), address) for name, address in getaddresses([text]))
    return [(name, address if "@" in address else "") for name, address in pairs if name or "@" in address]


def well_known_urls(lines: Iterable[str]) -> dict[str, str]:
    """Return kind → URL (`home`, `source`, `documentation`) of Project-URL lines (`Label, URL`); the first counts."""
    urls: dict[str, str] = {}
    for line in lines:
        label, separator, url = line.partition(",")
        kind = _LABELS.get(label.translate(_IGNORED).lower())
        if separator and kind is not None and url.strip():
            urls.setdefault(kind, url.strip())
    return urls


_IGNORED = str.maketrans("", "", r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""" + " \t\n\r\v\f")
