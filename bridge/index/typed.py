"""The hashes in the fragments of URLs that a user typed, and of `--hash`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bridge.errors import IntegrityError, UsageError
from bridge.model import IndexFile
from bridge.secrets import masked

__all__ = ["check_expected", "check_promises", "of_another_project"]

_OTHER_HASHES = ("md5", "sha1", "sha224", "sha384", "sha512")


def check_promises(url: str, artifact: Path) -> None:
    """Check a file against the hashes other than sha256 in the fragment of its URL. Raises `IntegrityError`."""
    for algorithm, promised in parse_qs(urlsplit(url).fragment).items():
        if algorithm in _OTHER_HASHES:
            digest = hashlib.new(algorithm, usedforsecurity=False)
            with open(artifact, "rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
            if {value.lower() for value in promised} != {digest.hexdigest()}:
                raise IntegrityError(
                    "hash-mismatch",
                    f"{artifact.name} does not match its URL: its {algorithm} differs",
                    context=(f"expected: {', '.join(promised)}", f"found: {digest.hexdigest()}", masked(url)),
                )


def of_another_project(url: str, project: str, reason: str) -> UsageError:
    """The error for a URL of something else than a requirement names (`file-url`)."""
    hint = "a URL requirement names an archive of the project, as in NAME @ https://HOST/NAME-1.0-py3-none-any.whl"
    if re.match(r"[\w.-]+:[\w.-]+/", url):
        hint = "the source code in a git repository: git+https://HOST/OWNER/REPOSITORY, or git+ssh://git@HOST/…"
    return UsageError("file-url", f"{masked(url)} is not a file of {project}: {reason}", hint=hint)


def check_expected(file: IndexFile, actual: str | None) -> None:
    """Check the sha256 of a file against those that the request states. Raises `IntegrityError` (`hash-mismatch`)."""
    if file.expected and actual not in file.expected:
        raise IntegrityError(
            "hash-mismatch",
            f"{file.filename} does not have the hash that the request states",
            context=(*(f"expected: {each}" for each in file.expected), f"found: {actual}", masked(file.url)),
            hint="the file may have been replaced: compare its hash with the one of its publisher before you change the"
            " request",
        )
