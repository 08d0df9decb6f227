"""A bill of materials as SPDX 2.3, written by the project's library, which is of the extra `sbom`."""

from __future__ import annotations

import io
import re
from datetime import datetime, timezone

from license_expression import LicenseExpression, get_spdx_licensing
from spdx_tools.spdx.model.actor import Actor, ActorType
from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
from spdx_tools.spdx.model.document import CreationInfo, Document
from spdx_tools.spdx.model.extracted_licensing_info import ExtractedLicensingInfo
from spdx_tools.spdx.model.package import ExternalPackageRef, ExternalPackageRefCategory, Package, PackagePurpose
from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion
from spdx_tools.spdx.validation.uri_validators import validate_download_location, validate_url
from spdx_tools.spdx.writer.json import json_writer
from spdx_tools.spdx.writer.tagvalue import tagvalue_writer
from spdx_tools.spdx.writer.yaml import yaml_writer

from bridge import __version__
from bridge.audit.packages import PackageRow
from bridge.audit.report.bill_contents import (
    Party,
    artifact_url,
    authors,
    identity,
    listed,
    needs,
    plain,
    purls,
    supplier,
)
from bridge.audit.report.facts import Facts
from converters.descriptions import spdx_expression

__all__ = ["spdx"]

_NOT_OF_ID = re.compile(r"[^A-Za-z0-9.-]+")
_ACTOR = str.maketrans("()", "[]")  # parentheses enclose the address


def spdx(facts: Facts, filename: str, when: datetime) -> bytes:
    """Return the bill as JSON, YAML or tag-value text, by the file name in lower case."""
    rows = listed(facts)
    ids = {row.owner: f"SPDXRef-Package-{number}" for number, row in enumerate(rows)}
    information = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id="SPDXRef-DOCUMENT",
        name=facts.report.prefix.name or "environment",
        document_namespace=identity(facts, when).urn,
        creators=[Actor(ActorType.TOOL, f"conda-bridge-{__version__}")],
        created=when.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None),
    )
    roots = [row for row in rows if row.is_requested] or rows
    relationships = [Relationship("SPDXRef-DOCUMENT", RelationshipType.DESCRIBES, ids[row.owner]) for row in roots]
    relationships += [
        Relationship(ids[owner], RelationshipType.DEPENDS_ON, ids[each])
        for owner, needed in needs(facts).items()
        for each in needed
    ]
    licenses = _Licenses()
    packages = [_package(row, ids[row.owner], licenses) for row in rows]
    document = Document(
        information, packages=packages, relationships=relationships, extracted_licensing_info=licenses.extracted()
    )
    return _written(document, filename)


def _package(row: PackageRow, identifier: str, licenses: _Licenses) -> Package:
    url, home = artifact_url(row), row.home or ""
    by = supplier(row)
    written = authors(row)
    checksums = {ChecksumAlgorithm.SHA256: row.sha256, ChecksumAlgorithm.MD5: row.md5}
    return Package(
        spdx_id=identifier,
        name=row.name,
        version=row.version,
        download_location=url if url and not validate_download_location(url) else SpdxNoAssertion(),
        files_analyzed=False,
        supplier=_actor(by, ActorType.PERSON if by in written else ActorType.ORGANIZATION) if by else SpdxNoAssertion(),
        originator=_actor(written[0], ActorType.PERSON) if written else SpdxNoAssertion(),
        homepage=home if home.startswith(("http:", "https:")) and not validate_url(home) else None,
        license_declared=licenses.declared(row.license) if row.license else SpdxNoAssertion(),
        license_concluded=SpdxNoAssertion(),
        copyright_text=SpdxNoAssertion(),
        primary_package_purpose=PackagePurpose.LIBRARY,
        checksums=[Checksum(kind, value) for kind, value in checksums.items() if value],
        external_references=[
            ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", purl) for purl in purls(row)
        ],
        comment=f"{row.source}{', INSTALLER ' + row.installer if row.installer else ''}",
    )


def _actor(party: Party, kind: ActorType) -> Actor:
    return Actor(kind, party.name.translate(_ACTOR), party.address or None)


class _Licenses:
    """The licences of packages, and those that are no part of SPDX's list and are described in the document."""

    def __init__(self) -> None:
        self._licensing = get_spdx_licensing()
        self._names: dict[str, str] = {}

    def declared(self, text: str) -> LicenseExpression:
        """Return the expression of a licence; another name than SPDX's becomes a `LicenseRef-`."""
        expression = spdx_expression(text)
        if expression is not None:
            parsed = self._licensing.parse(expression)
            unknown = self._licensing.unknown_license_keys(parsed)
            if all(key.startswith("LicenseRef-") for key in unknown):
                self._names.update((key, key) for key in unknown)
                return parsed
        reference = f"LicenseRef-{_NOT_OF_ID.sub('-', text)[:80].strip('-.') or 'unnamed'}"
        while self._names.get(reference, text) != text:
            reference += "-other"
        self._names[reference] = text
        return self._licensing.parse(reference)

    def extracted(self) -> list[ExtractedLicensingInfo]:
        """The descriptions; only the names are known."""
        return [
            ExtractedLicensingInfo(
                license_id=reference,
                license_name=plain(text),
                extracted_text=f"{plain(text)}; the package has the text",
            )
            for reference, text in sorted(self._names.items())
        ]


def _written(document: Document, filename: str) -> bytes:
    stream = io.StringIO()
    if filename.endswith(".json"):
        json_writer.write_document_to_stream(document, stream, validate=False)
    elif filename.endswith((".yaml", ".yml")):
        yaml_writer.write_document_to_stream(document, stream, validate=False)
    else:
        tagvalue_writer.write_document_to_stream(document, stream)
    return stream.getvalue().encode("utf-8")
