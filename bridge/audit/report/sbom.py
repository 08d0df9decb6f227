"""Bills of materials with purls and hashes: CycloneDX and SPDX, written by the libraries of these projects.

The libraries are of the extra `sbom`, and imported only when a bill is written.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote

from bridge import __version__
from bridge.audit.packages import PackageRow
from bridge.audit.report.facts import Facts
from bridge.errors import UsageError
from bridge.secrets import masked

if TYPE_CHECKING:
    from packageurl import PackageURL
    from spdx_tools.spdx.model.document import Document
    from spdx_tools.spdx.model.package import Package

__all__ = ["bill_of_materials", "purls"]

_NAMESPACE = uuid.UUID("6f5b3f1e-6a0c-5b7e-9d0c-3a0f3b1f7c11")  # of the identifiers derived from contents


def bill_of_materials(facts: Facts, filename: str, when: datetime) -> bytes:
    """The bill, in the format of the file name.

    `.spdx.json`, `.spdx.yaml` and `.spdx` are SPDX 2.3; `.xml` is CycloneDX 1.6 as XML, anything else CycloneDX as
    JSON. The same facts and the same time give the same bytes.

    Raises `UsageError` (`sbom-library`): the extra is not installed.
    """
    try:
        if ".spdx" in filename.lower():
            return _spdx(facts, filename.lower(), when)
        return _cyclonedx(facts, when, is_xml=filename.lower().endswith(".xml"))
    except ModuleNotFoundError as error:
        raise UsageError(
            "sbom-library",
            f"a bill of materials needs {error.name}, which is not installed",
            hint="install it with: pip install 'conda-bridge[sbom]'",
        ) from error


def purls(row: PackageRow) -> tuple[str, ...]:
    """The package URLs of a package, its own first: `pkg:conda/…` with build and subdir, `pkg:pypi/…`.

    A conda package with distributions has those of their projects too (CEP 63's `purls`).
    """
    projects = tuple(
        f"pkg:pypi/{quote(each.name.lower().replace('_', '-'))}@{quote(each.version)}" for each in row.distributions
    )
    if row.source == "conda":
        words = {"build": row.build, "channel": masked(row.origin) if row.origin else None, "subdir": row.subdir}
        qualifiers = "&".join(f"{key}={quote(value, safe='')}" for key, value in words.items() if value)
        return (f"pkg:conda/{quote(row.name)}@{quote(row.version)}{'?' + qualifiers if qualifiers else ''}", *projects)
    return projects or (f"pkg:pypi/{quote((row.pypi_names or (row.name,))[0])}@{quote(row.version)}",)


def _named(facts: Facts) -> list[PackageRow]:
    """Each package once, if it has a name and a version: the remains of a dist-info may not, and are a finding."""
    return list({row.owner: row for row in facts.rows if row.name and row.version}.values())


def _needs(facts: Facts) -> Mapping[str, list[str]]:
    needs: dict[str, dict[str, None]] = {row.owner: {} for row in _named(facts)}
    for each in facts.dependencies:
        if each.dependant in needs and each.dependency in needs:
            needs[each.dependant][each.dependency] = None
    return {owner: sorted(needed) for owner, needed in needs.items()}


def _identity(facts: Facts, when: datetime) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, "\n".join([when.isoformat(), *(f"{row.owner} {row.sha256}" for row in facts.rows)]))


# --- CycloneDX --------------------------------------------------------------------------------------------------------


def _cyclonedx(facts: Facts, when: datetime, *, is_xml: bool) -> bytes:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    root = Component(name=facts.report.prefix.name, type=ComponentType.APPLICATION, bom_ref="environment")
    tool = Component(name="conda-bridge", version=__version__, type=ComponentType.APPLICATION, bom_ref="bridge")
    bom = Bom(serial_number=_identity(facts, when), metadata=BomMetaData(component=root, timestamp=when))
    bom.metadata.tools.components.add(tool)
    made = {}
    for row in _named(facts):
        own, *others = purls(row)
        facts_of = {"source": row.source, "url": masked(row.url) if row.url else None, "installer": row.installer}
        made[row.owner] = Component(
            name=row.name,
            version=row.version,
            type=ComponentType.LIBRARY,
            bom_ref=row.owner,
            purl=_purl(own),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=row.sha256)] if row.sha256 else [],
            properties=[
                *(Property(name=f"bridge:{key}", value=value) for key, value in facts_of.items() if value),
                *(Property(name="bridge:purl", value=other) for other in others),
            ],
        )
        bom.components.add(made[row.owner])
    requested = [made[row.owner] for row in _named(facts) if row.is_requested]
    bom.register_dependency(root, requested or list(made.values()))
    for owner, needed in _needs(facts).items():
        bom.register_dependency(made[owner], [made[each] for each in needed])
    kind = OutputFormat.XML if is_xml else OutputFormat.JSON
    return make_outputter(bom, kind, SchemaVersion.V1_6).output_as_string(indent=2).encode("utf-8")


def _purl(text: str) -> PackageURL:
    from packageurl import PackageURL

    return PackageURL.from_string(text)


# --- SPDX -------------------------------------------------------------------------------------------------------------


def _spdx(facts: Facts, filename: str, when: datetime) -> bytes:
    from spdx_tools.spdx.model.actor import Actor, ActorType
    from spdx_tools.spdx.model.document import CreationInfo, Document
    from spdx_tools.spdx.model.relationship import Relationship, RelationshipType

    ids = {row.owner: f"SPDXRef-Package-{number}" for number, row in enumerate(_named(facts))}
    information = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id="SPDXRef-DOCUMENT",
        name=facts.report.prefix.name or "environment",
        document_namespace=_identity(facts, when).urn,
        creators=[Actor(ActorType.TOOL, f"conda-bridge-{__version__}")],
        created=when.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None),
    )
    roots = [row for row in _named(facts) if row.is_requested] or _named(facts)
    relationships = [Relationship("SPDXRef-DOCUMENT", RelationshipType.DESCRIBES, ids[row.owner]) for row in roots]
    relationships += [
        Relationship(ids[owner], RelationshipType.DEPENDS_ON, ids[each])
        for owner, needed in _needs(facts).items()
        for each in needed
    ]
    packages = [_spdx_package(row, ids[row.owner]) for row in _named(facts)]
    return _written(Document(information, packages=packages, relationships=relationships), filename)


def _spdx_package(row: PackageRow, identifier: str) -> Package:
    from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
    from spdx_tools.spdx.model.package import ExternalPackageRef, ExternalPackageRefCategory, Package
    from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

    url = masked(row.url) if row.url and "://" in row.url and not row.url.startswith("file:") else None
    return Package(
        spdx_id=identifier,
        name=row.name,
        version=row.version,
        download_location=url or SpdxNoAssertion(),
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, row.sha256)] if row.sha256 else [],
        external_references=[
            ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", purl) for purl in purls(row)
        ],
        comment=f"{row.source}{', INSTALLER ' + row.installer if row.installer else ''}",
    )


def _written(document: Document, filename: str) -> bytes:
    from spdx_tools.spdx.writer.json import json_writer
    from spdx_tools.spdx.writer.tagvalue import tagvalue_writer
    from spdx_tools.spdx.writer.yaml import yaml_writer

    stream = io.StringIO()
    if filename.endswith(".json"):
        json_writer.write_document_to_stream(document, stream, validate=False)
    elif filename.endswith((".yaml", ".yml")):
        yaml_writer.write_document_to_stream(document, stream, validate=False)
    else:
        tagvalue_writer.write_document_to_stream(document, stream)
    return stream.getvalue().encode("utf-8")
