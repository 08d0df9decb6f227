"""Files of the cache with the contents of many."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from bridge import fs
from bridge.cache.contents import StoredContents, read_index, write_index
from bridge.errors import FaultError
from tests.unit.fs.test_fs import limit_that_leaves, limited


def test_a_process_without_descriptors_takes_no_file_for_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ab" / "x.package"
    with fs.publish_stream(path, root=tmp_path) as stream:
        write_index(stream, {"files": []})
    assert read_index(path, tmp_path) == {"files": []}
    with limited(resource.RLIMIT_NOFILE, limit_that_leaves(0)):
        for read in (lambda: read_index(path, tmp_path), lambda: StoredContents(path, {})):
            with pytest.raises(FaultError) as caught:
                read()
            assert caught.value.id == "too-many-open-files"
    assert read_index(tmp_path / "ab" / "missing", tmp_path) is None
