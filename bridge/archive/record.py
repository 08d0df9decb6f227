"""RECORD: a wheel's list of its members with their hashes (PEP 376, PEP 427, the wheel specification)."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Container, Mapping

from bridge.archive.refusal import refused
from converters.deferred import dataclass, regex
from converters.projects import canonicalize_name

__all__ = ["RecordRow", "encode_digest", "read_record"]

# PEP 427: "sha256 or better; specifically, md5, sha1 and sha224 are not permitted".
_ALGORITHMS = frozenset({"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"})

_BLANK_LINES = 1000
_SIZE = regex(r"[0-9]{1,18}\Z", re.ASCII)
_NO_SIZE = -1  # of no file


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """One row: algorithm and unpadded urlsafe base64 digest (`None` and `""` without a hash), size in bytes.

    The size is -1 if the row has a text that is no size: a wrong one.
    """

    algorithm: str | None
    digest: str
    size: int | None

    @property
    def is_hex(self) -> bool:
        """Whether the hash is in hex, which the specification does not allow but is as strong."""
        return self.algorithm is not None and len(self.digest) == 2 * hashlib.new(self.algorithm).digest_size

    def accepts(self, digest: bytes) -> bool:
        """Whether the row has this digest, or no hash."""
        if self.algorithm is None:
            return True
        in_base64 = self.digest.replace("+", "-").replace("/", "_") == encode_digest(digest)
        return in_base64 or (self.is_hex and self.digest.lower() == digest.hex())

    def contradicts(self, other: RecordRow) -> bool:
        """Whether no content could meet both rows. Hashes of other algorithms or encodings may well agree."""
        sizes = {self.size, other.size} - {None}
        is_comparable = self.algorithm == other.algorithm is not None and self.is_hex == other.is_hex
        return len(sizes) > 1 or (is_comparable and self.digest.lower() != other.digest.lower())


def encode_digest(digest: bytes) -> str:
    """A digest as RECORD writes it: urlsafe base64 without padding."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_record(
    data: bytes, archive: str, member: str, exempt: frozenset[str], most: int, files: Container[str]
) -> Mapping[str, tuple[RecordRow, ...]]:
    """Return path → rows, read as the standard library's csv module reads it in strict mode, without blank lines.

    A path has several rows only if they do not contradict each other: equal rows count once, and a row without a hash
    adds nothing. A path with other slashes than its member (`/pkg/a.py`, `./pkg/a.py`, backslashes), as in published
    wheels, is read as the member's; so is one after a byte order mark, and one in another spelling of the dist-info
    directory (`ruamel_yaml-1.dist-info` for `ruamel.yaml-1.dist-info`). A size may be missing or a wrong text, and
    empty fields may follow.

    :param member: RECORD's own name, for errors.
    :param exempt: names whose hash is not looked at: RECORD itself and its signatures.
    :param most: how many paths there can be, to bound the memory: a row without a member is an error anyway.
    :param files: the names of the members.

    Raises `UnsafeInputError`: `record-invalid` (not UTF-8, other fields, contradictory rows, a malformed hash, too many
    rows), `record-algorithm` (weaker than sha256, or unknown).
    """
    rows: dict[str, tuple[RecordRow, ...]] = {}
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline=""), strict=True)
    try:
        for fields in reader:
            line = f"line {reader.line_num}"
            if len(rows) > most or reader.line_num > 2 * most + _BLANK_LINES:
                raise refused("record-invalid", archive, f"more than the {most} rows there can be", member=member)
            if not fields:
                continue
            fields = _three(fields, files)  # noqa: PLW2901 - the same row
            if len(fields) != 3:
                problem = f"{line} has {len(fields)} fields, not 3, so readers take different ones for the hash"
                raise refused("record-invalid", archive, problem, member=member)
            path = _meant(fields[0], files, member)
            row = _read_row(fields, archive, path in exempt)
            known = rows.get(path, ())
            if any(map(row.contradicts, known)):
                problem = f"{member} lists it twice, with another hash or size ({line}), so neither can be trusted"
                raise refused("record-invalid", archive, problem, member=path)
            rows[path] = known if row in known else (*known, row)
    except csv.Error as error:
        problem = f"line {reader.line_num} is not CSV ({error}), so readers find different rows"
        raise refused("record-invalid", archive, problem, member=member) from error
    except UnicodeDecodeError as error:
        raise refused("record-invalid", archive, "not UTF-8, so readers find different names", member=member) from error
    return rows


def _three(fields: list[str], files: Container[str]) -> list[str]:
    """Return a row with a hash and a size, and with the commas of its path where they were written without quotes."""
    if len(fields) < 3:
        return [*fields, "", ""][:3]
    path = ",".join(fields[:-2])
    if len(fields) > 3 and path in files:
        return [path, *fields[-2:]]
    return fields if any(fields[3:]) else fields[:3]


def _meant(path: str, files: Container[str], record: str) -> str:
    """Return the member that a path means by other slashes or another spelling of the dist-info, else the path.

    `..` stays, and so matches no member.
    """
    if path in files:
        return path
    plain = path.removeprefix("\ufeff").replace("\\", "/").split("/")
    folder, *rest = [part for part in plain if part not in ("", ".")] or [""]
    own = record.partition("/")[0]
    meant = "/".join([own if canonicalize_name(folder) == canonicalize_name(own) else folder, *rest])
    return meant if meant in files else path


def _read_row(fields: list[str], archive: str, is_exempt: bool) -> RecordRow:
    path, hashed, size = fields[0], fields[1].strip(), fields[2].strip()
    if is_exempt:
        return RecordRow(algorithm=None, digest="", size=None)
    written, separator, digest = hashed.partition("=")
    algorithm = written.lower()
    if hashed and (not separator or not digest):
        problem = "its hash in RECORD is not ALGORITHM=DIGEST, so nothing shows whether it was changed"
        raise refused("record-invalid", archive, problem, member=path)
    if hashed and algorithm not in _ALGORITHMS:
        is_known = algorithm in hashlib.algorithms_available
        why = "too weak: another file with that hash can be made" if is_known else "unknown, so nothing can be compared"
        problem = f"its hash in RECORD is {algorithm[:32]}, which is {why}; sha256 or better is required"
        raise refused("record-algorithm", archive, problem, member=path)
    stated = (int(size) if _SIZE.match(size) else _NO_SIZE) if size else None
    return RecordRow(algorithm=algorithm or None, digest=digest.rstrip("="), size=stated)
