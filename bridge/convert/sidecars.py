"""The attestations of a channel's packages, beside them as `PACKAGE.sigs.SHA256` (CEP 27, CEP 50).

SHA256 is the hash of the file, which the index states with the package (`attestations_sha256`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bridge import fs
from bridge.convert.indexed import IndexedPackage
from bridge.faults import faults
from bridge.prefix.attested import ADVERTISED

__all__ = ["sidecars_of", "with_sidecars", "write_sidecar"]

_NAME = re.compile(r"(?P<package>.+)\.sigs\.(?P<digest>[0-9a-f]{64})\Z")
_LIMIT = 4 << 20


def sidecars_of(subdir: Path, packages: Sequence[IndexedPackage]) -> tuple[dict[str, str], list[str]]:
    """Return the file of each package that has attestations → their sha256, and a sentence for each that is of no use.

    Only those that state the hash of the package as it is count. Who signed is for clients to judge.
    """
    found: dict[str, list[str]] = {}
    for name, digest in _named(subdir):
        found.setdefault(name, []).append(digest)
    known = {each.file: each for each in packages if each.file in found} if found else {}
    digests: dict[str, str] = {}
    remarks = []
    for name, listed in found.items():
        sha256 = str(known[name].record.get("sha256")) if name in known else None
        for digest in listed:
            path = subdir / f"{name}.sigs.{digest}"
            problem = "its package is not there" if sha256 is None else _problem(path, digest, name, sha256)
            if problem:
                remarks.append(f"{path} is not used: {problem}")
            else:
                digests[name] = digest
    return digests, remarks


def with_sidecars(packages: Sequence[IndexedPackage], digests: Mapping[str, str]) -> list[IndexedPackage]:
    """Return the packages, whose records state their attestations."""
    return [_with(each, digests.get(each.file)) for each in packages] if digests else list(packages)


def _with(package: IndexedPackage, digest: str | None) -> IndexedPackage:
    if digest is None:
        return package
    record = {**package.record, ADVERTISED: digest}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return package._replace(text=text)


def write_sidecar(package: Path, bundles: Sequence[str]) -> Path:
    """Write the attestations of a package beside it; return the path. Raises `FaultError`.

    :param bundles: each as JSON.
    """
    data = f"[{','.join(bundles)}]".encode()
    path = package.with_name(f"{package.name}.sigs.{hashlib.sha256(data).hexdigest()}")
    fs.publish_file(path, [data])
    return path


def _named(subdir: Path) -> Iterator[tuple[str, str]]:
    with faults(subdir):
        names = sorted(name for name in os.listdir(subdir) if ".sigs." in name) if subdir.is_dir() else []
    for name in names:
        if match := _NAME.match(name):
            yield match["package"], match["digest"]


def _problem(path: Path, digest: str, name: str, sha256: str) -> str | None:
    with faults(path), path.open("rb") as stream:
        data = stream.read(_LIMIT)
    if hashlib.sha256(data).hexdigest() != digest:
        return "its content has another hash than its name"
    try:
        subjects = [_subject(each) for each in json.loads(data)]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return "it is not a JSON array of Sigstore's bundles"
    return None if (name, sha256) in subjects else "it attests other bytes than the package has"


def _subject(bundle: Mapping[str, object]) -> tuple[str, str]:
    """Return the name and the sha256 that a bundle attests. Raises what its form makes it raise."""
    payload = bundle["dsseEnvelope"]["payload"]  # type: ignore[index]
    subject = json.loads(base64.b64decode(payload, validate=True))["subject"][0]
    return str(subject["name"]), str(subject["digest"]["sha256"])
