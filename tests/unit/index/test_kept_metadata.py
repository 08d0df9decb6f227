"""METADATA is kept with its fields; those of another version of the programs are read from its text again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bridge.cache.blobs import BlobStore
from bridge.errors import UnsafeInputError
from bridge.index.kept_metadata import _CONTEXT, _PARSED, KeptMetadata
from bridge.model import IndexFile
from converters.metadata import parse_metadata

TEXT = (
    b"Metadata-Version: 2.1\nName: x\nVersion: 1.0\nRequires-Dist: y>=2\nProvides-Extra: more\nLicense: MIT\n\nText.\n"
)
NAME = "x-1.0-py3-none-any.whl"


def file(sha256: str | None = "a" * 64, metadata: str | None = None, origin: str = "https://a.test") -> IndexFile:
    known = {"url": f"{origin}/{NAME}", "origin": origin, "sha256": sha256, "metadata_sha256": metadata}
    return IndexFile(project="x", filename=NAME, version="1.0", **known)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


def test_what_was_kept_has_the_fields_of_the_text(store: BlobStore) -> None:
    KeptMetadata(store).set(file(), TEXT, is_verified=False)
    kept = KeptMetadata(store)
    assert kept.get(file()) == TEXT[: TEXT.find(b"\n\n") + 2]
    assert kept.parsed(file()) == parse_metadata(TEXT, NAME)
    assert kept.parsed(file(origin="https://b.test")) is None


@pytest.mark.parametrize("value", [
    TEXT,
    _PARSED + json.dumps((_CONTEXT.replace("(2,", "(1,"), ["something else"])).encode() + b"\n" + TEXT,
], ids=["an earlier release", "another version"])  # fmt: skip
def test_fields_of_another_version_are_read_from_the_text(value: bytes, store: BlobStore) -> None:
    store.set(f"verified {'a' * 64}", value)
    assert KeptMetadata(store).parsed(file()) == parse_metadata(TEXT, NAME)
    kept = store.get(f"verified {'a' * 64}")
    assert kept is not None
    assert json.loads(kept[1:].partition(b"\n")[0])[0] == _CONTEXT  # for the next time


@pytest.mark.parametrize("value", [_PARSED + b"\xc1", _PARSED + b"7\n" + TEXT, _PARSED + b"[" * 100_000])
def test_what_cannot_be_read_is_not_kept(value: bytes, store: BlobStore) -> None:
    store.set(f"verified {'a' * 64}", value)
    assert KeptMetadata(store).get(file()) is None
    assert KeptMetadata(store).parsed(file()) is None


def test_a_text_that_is_no_metadata_is_refused(store: BlobStore) -> None:
    store.set(f"verified {'a' * 64}", b"Name: x\n")
    with pytest.raises(UnsafeInputError):
        KeptMetadata(store).parsed(file())


def test_without_a_hash_of_the_file_that_of_its_metadata_counts(store: BlobStore) -> None:
    stated = hashlib.sha256(TEXT).hexdigest()
    kept = KeptMetadata(store)
    for each in (file(None), file(None, "b" * 64)):
        kept.set(each, TEXT, is_verified=False)
        assert not kept.has(each)
    kept.set(file(None, stated), TEXT, is_verified=False)
    assert kept.parsed(file(None, stated)) == parse_metadata(TEXT, NAME)
    assert not kept.is_stated_only(file(None, stated))
    assert kept.get(file(None, "b" * 64)) is None
