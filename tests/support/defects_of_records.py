"""Further seeded defects: records as other tools, editors and power cuts leave them, and links between files."""

from __future__ import annotations

import json
import random

from tests.support.builders import metadata_text, record_hash
from tests.support.defect_environments import SITE, Environment
from tests.support.defects import ALL, PIPS, RECORDED, Expected, at, hidden, kind, label, some_info, some_record

__all__ = ["ALL"]

DAMAGED = ("broken-record", "modified-file")


@kind("RECORD with a byte order mark")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_info(env, rng) / "RECORD"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    return at(env, file, *DAMAGED)


@kind("RECORD in UTF-16")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_info(env, rng) / "RECORD"
    file.write_bytes(file.read_text("utf-8").encode("utf-16"))
    return at(env, file, *DAMAGED)


@kind("RECORD that is empty")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_info(env, rng) / "RECORD"
    file.write_bytes(b"")
    return at(env, file, *DAMAGED)


@kind("RECORD that was cut short", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_info(env, rng) / "RECORD"
    data = file.read_bytes().rstrip()
    file.write_bytes(data[: data.index(b",") - rng.randrange(1, 4)])
    return at(env, file, *DAMAGED)


@kind("RECORD with tabs", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_info(env, rng) / "RECORD"
    file.write_bytes(file.read_bytes().replace(b",", b"\t"))
    return at(env, file, *DAMAGED)


@kind("RECORD with a quote that nobody closes", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_info(env, rng) / "RECORD"
    file.write_bytes(file.read_bytes() + b'"more.py,,\n')
    return at(env, file, *DAMAGED)


@kind("RECORD with a wrong size", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    module = env.site / rng.choice(["beta/__init__.py", "beta/data.txt"])
    file, data = env.site / "beta-1.5.dist-info/RECORD", module.read_bytes()
    row = f"{record_hash(data)},{len(data)}".encode()
    file.write_bytes(file.read_bytes().replace(row, row + b"1"))
    return at(env, module, "record-lies")


@kind("METADATA without a version")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / "beta-1.5.dist-info/METADATA"
    kept = [line for line in file.read_text("utf-8").splitlines(keepends=True) if not line.startswith("Version:")]
    file.write_text("".join(kept), "utf-8")
    return at(env, file, "broken-record", also=("beta",))


@kind("an older METADATA that an upgrade left")
def _(env: Environment, rng: random.Random) -> Expected:
    info = env.site / f"beta-{rng.choice(['0.9', '1.4.2'])}.dist-info"
    info.mkdir()
    (info / "METADATA").write_bytes(metadata_text("beta", info.name.removesuffix(".dist-info").partition("-")[2]))
    return at(env, info, "duplicate-distribution", by=(_holder(env),))


@kind("an older dist-info that an upgrade left whole", PIPS)
def _(env: Environment, rng: random.Random) -> Expected:
    info = env.site / "beta-1.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_bytes(metadata_text("beta", "1.1"))
    rows = [f"beta/{name},{record_hash(name.encode())},9" for name in ("__init__.py", "data.txt", "gone.py")]
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,", ""]))
    return at(env, info, "duplicate-distribution", by=(_holder(env),), also=("beta",))


@kind("a dist-info's rest where its project is required", ("bridge", *PIPS))
def _(env: Environment, rng: random.Random) -> Expected:
    env.place(env.wheel("needy", "1.0", requires=["absent"]))
    info = env.site / "absent-1.0.dist-info"
    info.mkdir()
    (info / "REQUESTED").write_bytes(b"")
    return Expected(("unmet-requirement",), packages=("needy",), also=(env.path(info), "absent"))


@kind("a record of NULs, or in UTF-16", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_record(env, rng)
    also, data = hidden(env, file), file.read_bytes()
    file.write_bytes(rng.choice([bytes(len(data)), data.decode().encode("utf-16"), b"\xef\xbb\xbf" + data]))
    return at(env, file, "broken-record", also=also)


@kind("a record that rattler does not read for a null", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_record(env, rng)
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {rng.choice(["depends", "constrains"]): None}))
    return at(env, file, "broken-record")


@kind("a record that says nothing of its files", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_record(env, rng)
    also, document = hidden(env, file), json.loads(file.read_bytes())
    file.write_text(json.dumps({key: document[key] for key in document if key not in {"files", "paths_data"}}))
    return at(env, file, "broken-record", also=also)


@kind("a link that leads to another program", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    link = env.root / "bin/python3"
    link.unlink()
    link.symlink_to("alpha")
    return Expected(("modified-file",), (env.path(link),), packages=("python",), also=("bin",))


@kind("a link that leads to itself")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / rng.choice(["beta/data.txt", "alpha/part1.py"])
    file.unlink()
    file.symlink_to(file.name)
    return at(env, file, "modified-file", "broken-link", "unreadable-file")


@kind("INSTALLER of another tool in a package of conda's", ("conda",))
def _(env: Environment, rng: random.Random) -> Expected:
    info = next(env.site.glob("pyzed-*.dist-info"))
    (info / "INSTALLER").write_bytes(b"pip\n")
    return Expected(("installer-lies",), (f"{SITE}/{info.name}",))


def _holder(env: Environment) -> str:
    return label(env, "beta-1.5")
