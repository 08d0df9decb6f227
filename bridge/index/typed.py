"""URLs that a user typed: which are supported, and the hashes in their fragments."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bridge.errors import IntegrityError, UsageError
from bridge.secrets import masked

__all__ = ["check_promises", "check_supported"]

_VERSION_CONTROL = re.compile(r"(git|hg|svn|bzr)(\+|://)", re.IGNORECASE)
_OTHER_HASHES = ("md5", "sha1", "sha224", "sha384", "sha512")


def check_supported(url: str) -> None:
    """Raise `UsageError` (`url-unsupported`) if a URL needs a version control system, or names a part of an archive."""
    fragment = urlsplit(url).fragment
    if _VERSION_CONTROL.match(url) or "subdirectory" in parse_qs(fragment):
        raise UsageError(
            "url-unsupported",
            f"bridge installs archives, not sources under version control or parts of archives: {masked(url)}",
            hint="build a wheel of it (python -m build --wheel) and require that by its path or URL",
        )


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
