"""Who published a file, by its attestations: PEP 740 for the files of an index, CEP 27 for conda packages (CEP 50).

`sigstore` and `pypi-attestations` verify them, of the extra `provenance`. Their trust root is part of `sigstore`, or a
file; no server of Sigstore is asked.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from bridge.config.policy.rules import Publisher
from bridge.errors import BridgeError, IntegrityError, UnsafeInputError, UsageError
from bridge.fetch.client import Client
from bridge.fetch.urls import file_name
from bridge.index.listings import Listings
from bridge.model import IndexFile
from bridge.secrets import SECRETS, masked
from converters.record import Record

__all__ = ["CONDA", "Attestations", "provenance_of"]

_LIMIT = 4 << 20  # bytes; one attestation has ten thousand
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
CONDA = "https://schemas.conda.org/attestations-publish-1.schema.json"
"""The type of a statement of who published a conda package (CEP 27)."""
# Who issues identities -> its name, and where the source code of its users is.
_ISSUERS = {
    "https://token.actions.githubusercontent.com": ("GitHub", "https://github.com/"),
    "https://gitlab.com": ("GitLab", "https://gitlab.com/"),
    "https://accounts.google.com": ("Google", ""),
}
# Extensions of Fulcio's certificates.
_ISSUER, _REPOSITORY, _CONFIGURATION = (f"1.3.6.1.4.1.57264.1.{number}" for number in (8, 12, 18))
_WORKFLOWS = ("/.github/workflows/", "//")


def provenance_of(file: IndexFile, client: Client) -> bytes | None:
    """Return the provenance object of a file as its index serves it (PEP 740), unverified; `None`: it has none.

    Raises `IntegrityError` (`attestation-invalid`) if the index announces one that is not there, and `NetworkError`.
    """
    if file.provenance is None:
        return None
    SECRETS.inherit(file.provenance, file.origin)
    page = client.get(file.provenance, max_bytes=_LIMIT)
    if page is None:
        raise _invalid(
            file.filename, f"the index announces an attestation that is not there: {masked(file.provenance)}"
        )
    return page.content


class Attestations:
    """Reads and verifies attestations with one trust root.

    :param trusted_root: a file with Sigstore's trust root; `None`: that of the library.
    """

    def __init__(self, client: Client, trusted_root: Path | None = None) -> None:
        self._client, self._trusted_root = client, trusted_root
        self._known: dict[tuple[str, str | None], tuple[Publisher, ...]] = {}

    def of(self, record: Record) -> tuple[Publisher, ...]:
        """Return who attested the archive of a record; empty: nobody did.

        Raises `IntegrityError` (`attestation-invalid`) for an attestation that is not valid, or is of another file;
        `UsageError` (`attestation-library`, `trusted-root`), and `NetworkError`.
        """
        key = (record.url, record.sha256)
        if key not in self._known:
            if record.ecosystem == "conda":
                self._known[key] = self._of_conda(record)
            else:
                self._known[key] = self._of_wheel(IndexFile.of_record(record))
        return self._known[key]

    def of_file(self, file: IndexFile) -> tuple[Publisher, ...]:
        """The same for a file of an index."""
        key = (file.url, file.sha256)
        if key not in self._known:
            self._known[key] = self._of_wheel(file)
        return self._known[key]

    def _of_wheel(self, file: IndexFile) -> tuple[Publisher, ...]:
        """Return the publishers of a file; whether its index has attestations is asked, unless `file` says so."""
        if not file.origin or file.sha256 is None or file.is_of_channel:
            return ()
        name, sha256 = file_name(file.url), file.sha256
        if file.provenance is None:
            listed = Listings(self._client, (file.origin,), (), strategy="first").files(file.project)
            file = next((each for each in listed if each.sha256 == sha256 and each.filename == name), file)
        page = provenance_of(file, self._client)
        return () if page is None else self._verified(name, lambda: self._publishers(page, name, sha256))

    def _of_conda(self, record: Record) -> tuple[Publisher, ...]:
        digest = dict(record.others).get("attestations_sha256")  # CEP 50
        if isinstance(digest, bytes):  # of a shard
            digest = digest.hex()
        if not isinstance(digest, str) or record.sha256 is None:
            return ()
        parts = urlsplit(record.url)
        url = urlunsplit(parts._replace(path=f"{parts.path}.sigs.{digest}", fragment=""))
        SECRETS.inherit(url, record.origin)
        page, name = self._client.get(url, max_bytes=_LIMIT, is_page=False), file_name(record.url)
        if page is None:
            raise _invalid(name, f"the channel announces an attestation that is not there: {masked(url)}")
        if hashlib.sha256(page.content).hexdigest() != digest:
            raise _invalid(name, "the file of its attestations does not have the hash that the channel states")
        return self._verified(name, lambda: self._signers(page.content, name, str(record.sha256)))

    @staticmethod
    def _verified(name: str, verify: Callable[[], Sequence[Publisher]]) -> tuple[Publisher, ...]:
        """Return what `verify` finds; whatever goes wrong in it means that the attestation is not valid."""
        try:
            return tuple(verify())
        except BridgeError:
            raise
        except ModuleNotFoundError as error:
            raise UsageError(
                "attestation-library",
                f"attestations are verified by {error.name}, which is not installed",
                hint="install it with: pip install 'conda-bridge[provenance]'",
            ) from error
        except Exception as error:  # the libraries raise many kinds for a document of somebody else
            raise _invalid(name, str(error)) from error

    def _publishers(self, data: bytes, name: str, sha256: str) -> list[Publisher]:
        """Return the publishers of a provenance object (PEP 740), each confirmed by the certificates."""
        library = import_module("pypi_attestations")
        publishers = []
        for bundle in library.Provenance.model_validate_json(data).attestation_bundles:
            for each in bundle.attestations:
                policy = bundle.publisher._as_policy()
                statement = self._statement(each.to_bundle(), policy, name)
                _check_subject(statement, name, sha256)
                if statement.get("predicateType") in {str(known.value) for known in library.AttestationType}:
                    publishers.append(_publisher(bundle.publisher))
        return publishers

    def _signers(self, data: bytes, name: str, sha256: str) -> list[Publisher]:
        """Return who signed a sidecar's bundles, by their certificates.

        One valid bundle is enough: others may be of a newer Sigstore, or statements of another kind.
        """
        documents = json.loads(data)
        if not isinstance(documents, list) or not documents:
            raise _invalid(name, "its attestations are not a JSON array of bundles")
        models = import_module("sigstore.models")
        _ = self._verifier  # report first what is wrong with the trust root
        signers: list[Publisher] = []
        problems: list[Exception] = []
        for each in documents:
            seen = _Seen()
            try:
                statement = self._statement(models.Bundle.from_json(json.dumps(each)), seen, name)
                if statement.get("predicateType") == CONDA:
                    _check_subject(statement, name, sha256)
                    signers.append(replace(seen.publisher, channel=_target(statement, name)))
            except Exception as error:  # noqa: BLE001 - the libraries raise many kinds
                problems.append(error)
        if problems and not signers:
            raise problems[0]
        return signers

    def _statement(self, bundle: object, policy: object, name: str) -> Mapping[str, Any]:
        """Verify a bundle, and return its statement (in-toto)."""
        kind, payload = self._verifier.verify_dsse(bundle, policy)
        statement = json.loads(payload) if kind == _PAYLOAD else None
        if not isinstance(statement, Mapping) or statement.get("_type") != _STATEMENT:
            raise _invalid(name, "its attestation is not a statement of in-toto")
        return statement

    @cached_property
    def _verifier(self) -> Any:  # noqa: ANN401 - of a library that may be absent
        models, verify = import_module("sigstore.models"), import_module("sigstore.verify")
        if self._trusted_root is None:
            logging.getLogger("sigstore").setLevel(logging.ERROR)  # it warns that it asks nobody for a newer root
            return verify.Verifier(trusted_root=models.ClientTrustConfig.production(offline=True).trusted_root)
        try:
            return verify.Verifier(trusted_root=models.TrustedRoot.from_file(str(self._trusted_root)))
        except Exception as error:
            path = self._trusted_root
            raise UsageError("trusted-root", f"{path} is not a trust root of Sigstore: {str(error)[:200]}") from error


class _Seen:
    """A policy of `sigstore` that takes every identity and keeps it; the caller judges it."""

    publisher = Publisher()

    def verify(self, certificate: Any) -> None:  # noqa: ANN401 - a certificate of `cryptography`
        """Keep the identity. Raises `UnsafeInputError` for a certificate without one."""
        claims = {each.oid.dotted_string: each.value for each in certificate.extensions}
        issuer = _text(claims.get(_ISSUER))
        kind, root = _ISSUERS.get(issuer, (issuer, ""))
        if not issuer:
            raise UnsafeInputError("attestation-invalid", "a certificate that names no issuer of its identity")
        repository, configuration = _text(claims.get(_REPOSITORY)), _text(claims.get(_CONFIGURATION))
        own = root and repository.startswith(root)
        workflow = configuration.removeprefix(repository).rpartition("@")[0] if own else ""
        for start in _WORKFLOWS:
            workflow = workflow.removeprefix(start)
        names = import_module("cryptography.x509")
        addressed = certificate.extensions.get_extension_for_class(names.SubjectAlternativeName).value
        emails = addressed.get_values_for_type(names.RFC822Name)
        self.publisher = Publisher(
            kind=kind,
            repository=repository.removeprefix(root) if own else repository,
            workflow=workflow,
            email=emails[0] if emails else "",
        )


def _publisher(publisher: object) -> Publisher:
    """Return a publisher of `pypi-attestations`, whose kinds have different fields."""

    def text(*names: str) -> str:
        return next((str(value) for name in names if (value := getattr(publisher, name, None))), "")

    return Publisher(
        kind=text("kind"),
        repository=text("repository", "vcs_origin"),
        workflow=text("workflow", "workflow_filepath", "pipeline_definition_id"),
        environment=text("environment"),
        email=text("email"),
    )


def _check_subject(statement: Mapping[str, Any], name: str, sha256: str) -> None:
    """Check that a statement is about exactly this file. Raises `IntegrityError`."""
    subjects = statement.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise _invalid(name, "its attestation is not a statement about one file")
    subject = subjects[0]
    if _parsed(subject["name"]) != _parsed(name) or subject["digest"].get("sha256") != sha256:
        raise _invalid(name, f"its attestation is about another file: {subject['name']}")


def _parsed(name: str) -> object:
    """Return what a file's name states: indexes rename wheels, to another order of tags for one."""
    try:
        return parse_wheel_filename(name) if name.endswith(".whl") else parse_sdist_filename(name)
    except ValueError:  # of a conda package
        return name


def _target(statement: Mapping[str, Any], name: str) -> str:
    """Return the channel that a conda package was published for; empty: the statement names none (CEP 27).

    Raises `IntegrityError` for what CEP 27 does not permit.
    """
    predicate = statement.get("predicate")
    if predicate is None:
        return ""
    target = predicate.get("targetChannel") if isinstance(predicate, Mapping) else None
    if not isinstance(target, str) or not 0 < len(target) <= 2083 or target.endswith("/") or not _is_url(target):
        raise _invalid(name, "its attestation names no URL of a channel (targetChannel)")
    return target


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.scheme == "file")) and text.isprintable() and " " not in text


def _text(extension: Any) -> str:  # noqa: ANN401 - of `cryptography`
    """Return the text of an extension: DER, a UTF8String of up to 64 KiB."""
    data = b"" if extension is None else bytes(extension.value)
    if len(data) < 2 or data[0] != 0x0C:
        return ""
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return data[start:].decode() if len(data) - start == length else ""


def _invalid(name: str, problem: str) -> IntegrityError:
    return IntegrityError(
        "attestation-invalid",
        f"the attestation of {name} is not valid: {problem[:300]}",
        hint="the file may have been replaced, or another one published; take it from its publisher",
    )
