"""A Sigstore of the tests: its own authority, certificate log and transparency log, and attestations made by them.

`cryptography` comes with `sigstore`, of the extra `provenance`; the tests that use this skip without it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from typing_extensions import Self

x509: Any = pytest.importorskip("cryptography.x509", reason="the extra `provenance` is not installed")
pytest.importorskip("pypi_attestations", reason="the extra `provenance` is not installed")
hashes: Any = pytest.importorskip("cryptography.hazmat.primitives.hashes")
ec: Any = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
serialization: Any = pytest.importorskip("cryptography.hazmat.primitives.serialization")

__all__ = ["CONDA", "PUBLISH", "OwnServers", "OwnSigstore", "identity_token"]

PUBLISH = pytest.importorskip("pypi_attestations").AttestationType.PYPI_PUBLISH_V1.value
CONDA = "https://schemas.conda.org/attestations-publish-1.schema.json"
_TYPE = "application/vnd.in-toto+json"
_GITHUB = "https://token.actions.githubusercontent.com"
_NAME = "log.example"


class OwnSigstore:
    """Signs statements for GitHub's workflows, as Sigstore would."""

    def __init__(self) -> None:
        self._authority, self._certificates, self._log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self._now = datetime.now(timezone.utc).replace(microsecond=0)
        self._root = self._make_root()

    def write_root(self, path: Path) -> Path:
        """Write the trust root, and return its path."""
        path.write_text(json.dumps(self._trusted_root()))
        return path

    def write_config(self, path: Path, server: str) -> Path:
        """Write the configuration of clients that sign at `server` (`OwnServers`)."""
        service = {"url": server, "majorApiVersion": 1, "validFor": {"start": "2021-01-01T00:00:00Z"}, "operator": "x"}
        document = {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self._trusted_root(),
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service],
                "oidcUrls": [service],
                "rekorTlogUrls": [service],
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
                "tsaConfig": {"selector": "ANY"},
            },
        }
        path.write_text(json.dumps(document))
        return path

    def certify(self, request: Mapping[str, Any], repository: str) -> dict[str, object]:
        """What the certificate authority answers to a request for a certificate."""
        pem = base64.b64decode(request["certificateSigningRequest"])
        public = x509.load_pem_x509_csr(pem).public_key()
        certificates = [self._certificate(public, repository, "release.yml"), self._root]
        texts = [each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": texts}}}

    def log(self, request: Mapping[str, Any]) -> dict[str, object]:
        """What the transparency log answers to a new entry."""
        content = request["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        pem = base64.b64decode(content["verifiers"][0])
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        certificate = x509.load_pem_x509_certificate(pem)
        entry: Any = self._entry(base64.b64decode(envelope["payload"]), signature, certificate)
        proof = entry["inclusionProof"]
        answer = {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
            "logIndex": 0,
            "verification": {
                "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                "inclusionProof": {
                    "logIndex": 0,
                    "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                    "treeSize": 1,
                    "hashes": [],
                    "checkpoint": proof["checkpoint"]["envelope"],
                },
            },
        }
        return {"0" * 64: answer}

    def _trusted_root(self) -> dict[str, object]:
        start = {"start": "2021-01-01T00:00:00Z"}

        def log(key: Any, url: str) -> dict[str, object]:  # noqa: ANN401
            public = {"rawBytes": _b64(_spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": start}
            identity = {"keyId": _b64(_key_id(key))}
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": identity}

        authority = {
            "subject": {"organization": "tests", "commonName": "tests"},
            "uri": "https://authority.example",
            "certChain": {"certificates": [{"rawBytes": _b64(_der(self._root))}]},
            "validFor": start,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self._log, f"https://{_NAME}")],
            "certificateAuthorities": [authority],
            "ctlogs": [log(self._certificates, "https://certificates.example")],
            "timestampAuthorities": [],
        }

    def provenance(self, file: Path, repository: str, workflow: str = "release.yml", **more: str) -> bytes:
        """A provenance object of a file (PEP 740); `more` are those of `_signed`, and `publisher`, the repository
        that the index claims.
        """
        claimed = more.pop("publisher", repository)
        signed = self._signed(_statement(file, PUBLISH, **more), repository, workflow)
        attestation = {
            "version": 1,
            "verification_material": {
                "certificate": signed["certificate"],
                "transparency_entries": [signed["entry"]],
            },
            "envelope": {"statement": signed["payload"], "signature": signed["signature"]},
        }
        publisher = {"kind": "GitHub", "repository": claimed, "workflow": workflow, "environment": None}
        return json.dumps(
            {"version": 1, "attestation_bundles": [{"publisher": publisher, "attestations": [attestation]}]}
        ).encode()

    def sidecar(self, file: Path, repository: str, workflow: str = "release.yml", **more: str) -> bytes:
        """The sidecar of a conda package (CEP 27, CEP 50)."""
        kind = more.pop("kind", CONDA)
        signed = self._signed(_statement(file, kind, **more), repository, workflow)
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": signed["certificate"]},
                "tlogEntries": [signed["entry"]],
            },
            "dsseEnvelope": {
                "payload": signed["payload"],
                "payloadType": _TYPE,
                "signatures": [{"sig": signed["signature"]}],
            },
        }
        return json.dumps([bundle]).encode()

    def _signed(self, payload: bytes, repository: str, workflow: str) -> dict[str, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(key.public_key(), repository, workflow)
        envelope = b"DSSEv1 %d %s %d %s" % (len(_TYPE), _TYPE.encode(), len(payload), payload)
        signature = _sign(key, envelope)
        return {
            "payload": _b64(payload),
            "signature": _b64(signature),
            "certificate": _b64(_der(certificate)),
            "entry": self._entry(payload, signature, certificate),
        }

    def _entry(self, payload: bytes, signature: bytes, certificate: Any) -> dict[str, object]:  # noqa: ANN401
        """The entry of a transparency log with nothing else in it."""
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": _b64(signature), "verifier": _b64(pem)}],
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        root = hashlib.sha256(b"\0" + body).digest()
        identity, when = _key_id(self._log), int(self._now.timestamp())
        promised = {"body": _b64(body), "integratedTime": when, "logID": identity.hex(), "logIndex": 0}
        note = f"{_NAME}\n1\n{_b64(root)}\n"
        signed = _b64(identity[:4] + _sign(self._log, note.encode()))
        return {
            "logIndex": "0",
            "logId": {"keyId": _b64(identity)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(when),
            "inclusionPromise": {"signedEntryTimestamp": _b64(_sign(self._log, _canonical(promised)))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} {_NAME} {signed}\n"},
            },
            "canonicalizedBody": _b64(body),
        }

    def _make_root(self) -> Any:  # noqa: ANN401
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
        usage = _usage(signs=False)
        key = self._authority.public_key()
        return (
            self._dated(x509.CertificateBuilder(), timedelta(days=1))
            .subject_name(name)
            .issuer_name(name)
            .public_key(key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key), critical=False)
            .sign(self._authority, hashes.SHA256())
        )

    def _dated(self, builder: Any, span: timedelta) -> Any:  # noqa: ANN401
        return (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(self._now - span)
            .not_valid_after(self._now + span)
        )

    def _certificate(self, public: Any, repository: str, workflow: str) -> Any:  # noqa: ANN401
        source = f"https://github.com/{repository}"
        identity = f"{source}/.github/workflows/{workflow}@refs/heads/main"
        claims = {8: _GITHUB, 12: source, 14: "refs/heads/main", 18: identity}
        builder = (
            self._dated(x509.CertificateBuilder(), timedelta(minutes=5))
            .subject_name(x509.Name([]))
            .issuer_name(self._root.subject)
            .public_key(public)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True)
        )
        for number, text in claims.items():
            data = text.encode()
            length = bytes([len(data)]) if len(data) < 128 else bytes([0x81, len(data)])
            value = x509.UnrecognizedExtension(
                x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}"), b"\x0c" + length + data
            )
            builder = builder.add_extension(value, critical=False)
        listed = self._timestamp(builder.sign(self._authority, hashes.SHA256()).tbs_certificate_bytes)
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), listed)
        return builder.add_extension(extension, critical=False).sign(self._authority, hashes.SHA256())

    def _timestamp(self, unsigned: bytes) -> bytes:
        """A list with one signed certificate timestamp (RFC 6962, 3.2 and 3.3), as an OCTET STRING."""
        when = int(self._now.timestamp() * 1000)
        entry = _key_id(self._authority) + len(unsigned).to_bytes(3, "big") + unsigned
        signature = _sign(self._certificates, struct.pack("!BBQH", 0, 0, when, 1) + entry + b"\0\0")
        stamp = b"\0" + _key_id(self._certificates) + struct.pack("!QHBBH", when, 0, 4, 3, len(signature)) + signature
        stamps = struct.pack("!HH", len(stamp) + 2, len(stamp)) + stamp
        return bytes([4, len(stamps)]) + stamps if len(stamps) < 128 else bytes([4, 0x81, len(stamps)]) + stamps


def identity_token() -> str:
    """A token of an identity; nobody verifies its signature here."""
    now = int(datetime.now(timezone.utc).timestamp())
    claims = {"iss": _GITHUB, "sub": "repo:acme/core", "aud": "sigstore", "iat": now, "nbf": now, "exp": now + 600}
    claims["job_workflow_ref"] = "acme/core/.github/workflows/release.yml@refs/heads/main"
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join([*(base64.urlsafe_b64encode(_canonical(each)).rstrip(b"=").decode() for each in parts), "c2ln"])


class OwnServers:
    """The servers of a Sigstore of the tests, which certify every identity as `repository`."""

    def __init__(self, sigstore: OwnSigstore, repository: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                is_certificate = self.path.endswith("/signingCert")
                answer = sigstore.certify(request, repository) if is_certificate else sigstore.log(request)
                data = json.dumps(answer).encode()
                self.send_response(200 if is_certificate else 201)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _statement(file: Path, kind: str, *, name: str = "", sha256: str = "", target: str | None = None) -> bytes:
    digest = {"sha256": sha256 or hashlib.sha256(file.read_bytes()).hexdigest()}
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name or file.name, "digest": digest}],
            "predicateType": kind,
            "predicate": None if target is None else {"targetChannel": target},
        }
    ).encode()


def _usage(*, signs: bool) -> Any:  # noqa: ANN401
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=not signs,
        crl_sign=not signs,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(others, False),
    )


def _sign(key: Any, data: bytes) -> bytes:  # noqa: ANN401
    return bytes(key.sign(data, ec.ECDSA(hashes.SHA256())))


def _spki(key: Any) -> bytes:  # noqa: ANN401
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.DER, form))


def _key_id(key: Any) -> bytes:  # noqa: ANN401
    return hashlib.sha256(_spki(key)).digest()


def _der(certificate: Any) -> bytes:  # noqa: ANN401
    return bytes(certificate.public_bytes(serialization.Encoding.DER))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _canonical(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
