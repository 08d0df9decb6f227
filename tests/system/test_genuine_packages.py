"""The genuine packages of a public channel in one environment: all install, nothing is found, and the records are
the channel's own, with the corrections that it made after the packages were built.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import zstandard
from conda_package_streaming import package_streaming

from tests.support.builders import make_python, make_repodata
from tests.support.command_line import Bridge

pytestmark = pytest.mark.shared

# What a client adds to a channel's record, or derives from the file's place (conda's `PrefixRecord`).
_OF_THE_CLIENT = frozenset(
    {
        "channel", "extracted_package_dir", "files", "fn", "link", "package_tarball_full_path", "paths_data",
        "requested_spec", "requested_specs", "url", "sha256", "md5", "size", "subdir", "purls",
        "python_site_packages_path",
    }
)  # fmt: skip


def _own_record(path: Path) -> dict[str, Any]:
    """The record that indexing the package alone gives."""
    for tar, member in package_streaming.stream_conda_info(path):
        content = tar.extractfile(member) if member.name == "info/index.json" else None
        if content is not None:
            record: dict[str, Any] = json.loads(content.read())
            return record
    raise AssertionError(path)


def _channel(shared: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Lay out the packages as a channel with the records that the real one serves; return these by file name."""
    served: dict[str, dict[str, Any]] = {}
    make_python(folder, "3.12")
    make_repodata(folder)
    for subdir in ("linux-64", "noarch"):
        packed = (shared / f"data/conda-forge/{subdir}/repodata.json.zst").read_bytes()
        frozen = json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
        known = frozen["packages"] | frozen["packages.conda"]
        place = folder / subdir / "repodata.json"
        document = json.loads(place.read_text("utf-8"))
        for path in sorted((shared / "data/conda-world/genuine" / subdir).iterdir()):
            shutil.copy(path, folder / subdir / path.name)
            data = path.read_bytes()
            digests = {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest()}
            group = "packages" if path.name.endswith(".tar.bz2") else "packages.conda"
            if known.get(path.name, {}).get("sha256") == digests["sha256"]:
                served[path.name] = known[path.name]
            document[group][path.name] = served.get(path.name) or _own_record(path) | digests | {"size": len(data)}
        place.write_text(json.dumps(document), "utf-8")
    return served


@pytest.mark.slow
def test_all_install_together_and_nothing_is_found(shared: Path, tmp_path: Path) -> None:
    served = _channel(shared, tmp_path / "channel")
    assert len(served) >= 22
    documents = {path.name for path in (tmp_path / "channel").rglob("*.conda")}
    documents |= {path.name for path in (tmp_path / "channel").rglob("*.tar.bz2")}
    specs = ["python=3.12", *sorted({name.rsplit("-", 2)[0] for name in documents if not name.startswith("python-")})]
    bridge = Bridge.of_folder(tmp_path)
    prefix = tmp_path / "env"
    done = bridge("create", "-p", prefix, *specs)
    assert done.status == 0, done.err
    records = {
        document["fn"]: document
        for document in (json.loads(path.read_text("utf-8")) for path in prefix.glob("conda-meta/*.json"))
    }
    assert records.keys() == documents
    for filename, record in served.items():
        written = records[filename]
        stated = {key: value for key, value in record.items() if key not in _OF_THE_CLIENT}
        assert {key: written.get(key) for key in stated} == stated, filename
        assert all(written[key] == record[key] for key in ("md5", "sha256", "size") if key in record), filename
    audit = bridge("audit", "-p", prefix, "--json", "--fail-on", "info")
    assert audit.status == 0, audit.out
    assert audit.document["findings"] == []
