"""A bill of materials as CycloneDX 1.6, written by the project's library, which is of the extra `sbom`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime

from cyclonedx.exception.model import CycloneDxModelException
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
from cyclonedx.model.vulnerability import BomTarget, Vulnerability
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from bridge import __version__
from bridge.audit.packages import PackageRow
from bridge.audit.report.bill_contents import artifact_url, authors, identity, listed, needs, plain, purls, supplier
from bridge.audit.report.facts import Facts
from bridge.secrets import masked
from converters.descriptions import spdx_expression

__all__ = ["cyclonedx"]


def cyclonedx(facts: Facts, when: datetime, *, is_xml: bool) -> bytes:
    """Return the bill as JSON or XML. Known vulnerabilities among the findings are part of it."""
    facts_of_root = {"platform": facts.platform, "python": facts.python}
    root = Component(
        name=facts.report.prefix.name or "environment",
        type=ComponentType.APPLICATION,
        bom_ref="environment",
        properties=[Property(name=f"bridge:{key}", value=value) for key, value in facts_of_root.items() if value],
    )
    tool = Component(name="conda-bridge", version=__version__, type=ComponentType.APPLICATION, bom_ref="bridge")
    bom = Bom(serial_number=identity(facts, when), metadata=BomMetaData(component=root, timestamp=when))
    bom.metadata.tools.components.add(tool)
    rows = listed(facts)
    made = {row.owner: _component(row) for row in rows}
    for component in made.values():
        bom.components.add(component)
    requested = [made[row.owner] for row in rows if row.is_requested]
    bom.register_dependency(root, requested or list(made.values()))
    for owner, needed in needs(facts).items():
        bom.register_dependency(made[owner], [made[each] for each in needed])
    for vulnerability in _vulnerabilities(facts, made):
        bom.vulnerabilities.add(vulnerability)
    kind = OutputFormat.XML if is_xml else OutputFormat.JSON
    return make_outputter(bom, kind, SchemaVersion.V1_6).output_as_string(indent=2).encode("utf-8")


def _component(row: PackageRow) -> Component:
    own, *others = purls(row)
    by = supplier(row)
    hashes = {HashAlgorithm.SHA_256: row.sha256, HashAlgorithm.MD5: row.md5}
    stated = {"source": row.source, "url": masked(row.url) if row.url else None, "installer": row.installer}
    license = _license(row.license) if row.license else None  # noqa: A001 - the field's name
    return Component(
        name=row.name,
        version=row.version,
        type=ComponentType.LIBRARY,
        bom_ref=row.owner,
        purl=PackageURL.from_string(own),
        licenses=[license] if license else [],
        supplier=OrganizationalEntity(name=by.name, urls=[XsUri(by.url)] if by.url else []) if by else None,
        authors=[OrganizationalContact(name=each.name, email=each.address or None) for each in authors(row)],
        hashes=[HashType(alg=kind, content=value) for kind, value in hashes.items() if value],
        external_references=list(_references(row)),
        properties=[
            *(Property(name=f"bridge:{key}", value=value) for key, value in stated.items() if value),
            *(Property(name="bridge:purl", value=other) for other in others),
        ],
    )


def _license(text: str) -> LicenseExpression | DisjunctiveLicense:
    declared = LicenseAcknowledgement.DECLARED
    expression = spdx_expression(text)
    if expression is None:
        return DisjunctiveLicense(name=plain(text), acknowledgement=declared)
    if is_supported_id(expression):
        return DisjunctiveLicense(id=expression, acknowledgement=declared)
    return LicenseExpression(expression, acknowledgement=declared)


def _references(row: PackageRow) -> Iterator[ExternalReference]:
    url = artifact_url(row)
    is_source = url.startswith("git+")
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=row.sha256)] if row.sha256 and not is_source else []
    kinds = ExternalReferenceType
    for kind, text in ((kinds.VCS if is_source else kinds.DISTRIBUTION, url), (kinds.WEBSITE, row.home or "")):
        with suppress(CycloneDxModelException, ValueError):  # a home page that is no URL
            if text.startswith(("http:", "https:", "git+")):
                yield ExternalReference(type=kind, url=XsUri(text), hashes=hashes if kind is kinds.DISTRIBUTION else [])


def _vulnerabilities(facts: Facts, made: Mapping[str, Component]) -> Iterator[Vulnerability]:
    affected: dict[str, list[str]] = {}
    for finding in facts.report.findings:
        if finding.advisory is not None and finding.owner is not None and finding.owner in made:
            affected.setdefault(finding.advisory, []).append(finding.owner)
    first = {each.advisory: each for each in reversed(facts.report.findings) if each.advisory is not None}
    for name, owners in sorted(affected.items()):
        finding = first[name]
        yield Vulnerability(
            bom_ref=name,
            id=name,
            description=plain(finding.evidence),
            recommendation=f"update to {' or '.join(finding.fixed)}" if finding.fixed else None,
            affects=[BomTarget(ref=owner) for owner in owners],
        )
