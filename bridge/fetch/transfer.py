"""One download into an open stream: resumed after errors, hashed on the way, never longer than promised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import BinaryIO

from bridge.errors import IntegrityError, NetworkError
from bridge.faults import failpoint, faults
from bridge.fetch.responses import (
    Network,
    Progress,
    Response,
    RetryableError,
    content_range,
    status_error,
    truncated,
    validator,
)
from bridge.secrets import masked

__all__ = ["Transfer", "check_hash", "check_size"]

_MAX_ARTIFACT = 32 << 30  # bytes


def check_size(name: str, url: str, size: int | None, actual: int) -> None:
    """Raise `IntegrityError` (`size-mismatch`) if the promised size differs."""
    if size is not None and size != actual:
        shown = f"found: {'at least ' if actual > size else ''}{actual} bytes"
        raise IntegrityError(
            "size-mismatch",
            f"{name} does not have the size that its index or channel gives",
            context=(f"expected: {size} bytes", shown, masked(url)),
            hint="the index is out of date or wrong; try again later, or report it to its maintainers",
            objects={"url": masked(url), "expected": size, "found": actual},
        )


def check_hash(name: str, url: str, sha256: str | None, actual: str) -> None:
    """Raise `IntegrityError` (`hash-mismatch`) if the promised hash differs."""
    if sha256 is not None and sha256 != actual:
        raise IntegrityError(
            "hash-mismatch",
            f"{name} is not the expected file: its sha256 differs",
            context=(f"expected: {sha256}", f"found: {actual}", masked(url)),
            hint="the file was changed on the server or on the way; do not use it until you know why",
            objects={"url": masked(url), "expected": sha256, "found": actual},
        )


class Transfer:
    """Downloads `url` into `stream`, an empty seekable file that the caller publishes or drops.

    :param sha256: lower-case hex; if `None`, the transfer resumes only with a validator.
    :param size: in bytes, if known.
    """

    def __init__(
        self,
        network: Network,
        url: str,
        stream: BinaryIO,
        *,
        name: str,
        sha256: str | None,
        size: int | None,
        progress: Progress | None = None,
    ) -> None:
        self._network = network
        self._url = url
        self._stream = stream
        self._name = name
        self._sha256 = sha256
        self._size = size
        self._progress = progress
        self._digest = hashlib.sha256()
        self._is_fresh = False
        self.length = 0
        self.validator: str | None = None

    def run(self, begun: Iterable[bytes] = ()) -> str:
        """Fill the stream and return the sha256 of its content.

        :param begun: the start of the content from an earlier run; the hash verifies it.

        Raises `IntegrityError` (`size-mismatch`, `hash-mismatch`) after one more try from the start, `NetworkError`
        after the retries, `UnsafeInputError` (`url-refused`), `FaultError` if the stream cannot be written.
        """
        if self._progress:
            self._progress.start(self._name, self._size)
        try:
            for block in begun:
                self._append(block)
            try:
                return self._complete()
            except IntegrityError:
                # A proxy's cache, a mirror during an update or a wrong beginning: restart once, past every cache.
                self._restart()
                self._is_fresh = True
                return self._complete()
        finally:
            if self._progress:
                self._progress.finish(self._name)

    def _complete(self) -> str:
        self._network.retrying(self._attempt)
        check_size(self._name, self._url, self._size, self.length)
        digest = self._digest.hexdigest()
        check_hash(self._name, self._url, self._sha256, digest)
        return digest

    def _attempt(self) -> None:
        """Request what is missing and append it."""
        if self._size is not None and self.length >= self._size > 0:
            return
        if self.length and self._sha256 is None and self.validator is None:
            self._restart()  # nothing shows that the second half belongs to the first
        with self._network.exchange(self._url, self._headers()) as answer:
            expected = self._expected(answer)
            for block in answer.blocks() if answer.status != 416 else ():
                self._append(block)
                if self.length > (_MAX_ARTIFACT if self._size is None else self._size):
                    check_size(self._name, self._url, self._size or _MAX_ARTIFACT, self.length)
        if expected is not None and self.length < expected:
            raise truncated(self._url, self.length, expected)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}  # the hash is of the unencoded bytes
        if self._is_fresh:
            headers["Cache-Control"] = "no-cache"
        if self.length:
            headers["Range"] = f"bytes={self.length}-"
            if self.validator is not None:
                headers["If-Range"] = self.validator
        return headers

    def _expected(self, answer: Response) -> int | None:
        """The expected length after this response; starts over if the response is not the rest of the file."""
        if answer.status == 206 and self.length:
            part = content_range(answer.headers)
            if part is None or part[0] != self.length:
                self._restart()
                raise RetryableError(
                    NetworkError("truncated", f"the server sent another range than requested: {masked(self._url)}")
                )
            return self._size if self._size is not None else part[2]
        if answer.status == 416 and self.length:
            if answer.headers.get("content-range", "").strip() == f"bytes */{self.length}":
                return self.length  # the server has no more; the caller checks size and hash
            self._restart()
            raise truncated(self._url, 0, self._size)
        if answer.status != 200:
            raise status_error(answer)
        self._restart()
        self.validator = validator(answer.headers)
        return self._size

    def _append(self, block: bytes) -> None:
        self._stream.write(block)
        with faults(self._name):
            failpoint("cache.chunk_written")
        self._digest.update(block)
        self.length += len(block)
        if self._progress:
            self._progress.advance(self._name, len(block))

    def _restart(self) -> None:
        if self._progress and self.length:
            self._progress.advance(self._name, -self.length)
        self._stream.seek(0)
        self._stream.truncate()
        self._digest = hashlib.sha256()
        self.length = 0
        self.validator = None
