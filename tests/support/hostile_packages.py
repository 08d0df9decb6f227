"""Wheels and conda packages that are hostile or odd, as data: what each is, and what is to come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.support.builders import metadata_text, record_hash, wheel_members, zip_bytes
from tests.support.hostile import Conda, link_entry, path_entry, symlink, tar_file, tar_header

__all__ = ["CONDA", "WHEELS", "Case"]

INFO = "demo-1.0.dist-info"
DATA = "demo-1.0.data"
_SITE = "site-packages/demo.py"


@dataclass(frozen=True)
class Case:
    """One archive. `expected` is the id of the refusal; `""`: it is accepted."""

    label: str
    make: Callable[[], bytes]
    expected: str
    filename: str


# --- wheels


def _plain() -> dict[str, bytes]:
    return wheel_members("demo", "1.0")


def _wheel(members: Mapping[str, bytes], *, is_recorded: bool = True) -> bytes:
    members = dict(members)
    if is_recorded:
        members.pop(f"{INFO}/RECORD", None)
        rows = [f'"{path}",{record_hash(data)},{len(data)}' for path, data in members.items()]
        members[f"{INFO}/RECORD"] = ("\n".join([*rows, f"{INFO}/RECORD,,"]) + "\n").encode()
    return zip_bytes(members)


def _with(label: str, expected: str, members: Mapping[str, bytes], *, is_recorded: bool = True) -> Case:
    def make() -> bytes:
        return _wheel({**_plain(), **members}, is_recorded=is_recorded)

    return Case(label, make, expected, "demo-1.0-py3-none-any.whl")


def _document(name: str, label: str, expected: str, data: bytes | str) -> Case:
    content = data.encode() if isinstance(data, str) else data
    return _with(f"{name}: {label}", expected, {f"{INFO}/{name}": content}, is_recorded=name != "RECORD")


def _metadata() -> Iterator[Case]:
    plain = metadata_text("demo", "1.0")
    invalid = "metadata-invalid"
    for label, expected, lines in [
        ("20,000 requirements", "", [f"Requires-Dist: p{number}>=1" for number in range(20_000)]),
        ("one requirement 5,000 times", "", ["Requires-Dist: p>=1"] * 5000),
        ("20,000 extras", "", [f"Provides-Extra: e{number}" for number in range(20_000)]),
        ("a header of 10 MB", "limit-size", ["Summary: " + "x" * 10_000_000]),
        ("NUL in a header", invalid, ["Summary: a\0b"]),
        ("two names", invalid, ["Name: other"]),
        ("two versions", invalid, ["Version: 2.0"]),
        ("two Requires-Python", "", ["Requires-Python: >=4"]),
        ("a hidden field", invalid, ["Summary: a\x0bName: other"]),
        ("a hidden field after NEL", invalid, ["Summary: a\x85Name: other"]),
        ("a hidden field after U+2028", invalid, ["Summary: a\u2028Requires-Dist: evil"]),
        ("an undefined charset", "", ["Content-Type: text/plain; charset=x-nothing", "Summary: é"]),
        ("the charset undefined", "", ["Content-Type: text/plain; charset=undefined"]),
        ("the charset zlib", "", ["Content-Type: text/plain; charset=zlib"]),
        ("encoded words", "", ["Summary: =?x-nothing?q?=E9?=", "Author: =?utf-8?b?/w==?="]),
        ("quoted-printable", "", ["Content-Transfer-Encoding: quoted-printable"]),
        ("base64", "", ["Content-Transfer-Encoding: base64"]),
        ("multipart", "", ['Content-Type: multipart/mixed; boundary="x"']),
        ("no colon", "", ["nothing"]),
        ("requirements that are none", "", ["Requires-Dist: a >= ", "Requires-Dist: ../x", "Requires-Dist: $(x)"]),
        ("a requirement of 5,000 digits", "", ["Requires-Dist: a>=" + "1" * 5000]),
        ("a requirement of 5,000 brackets", "", ["Requires-Dist: a;" + "(" * 5000]),
        ("a requirement with a URL that is none", "", ["Requires-Dist: a @ http://["]),
        ("a marker that compares names", "", ['Requires-Dist: a; os_name ~= "x"']),
        ("extras that are none", "", ["Provides-Extra: ../x", "Provides-Extra: "]),
        ("a licence file outside", "", ["License-File: ../../etc/passwd"]),
        ("control characters in a summary", "", ["Summary: \x07\x1b[31m"]),
    ]:
        yield _document("METADATA", label, expected, plain + "\n".join(lines).encode() + b"\n")
    for label, expected, data in [
        ("empty", invalid, b""),
        ("not UTF-8", invalid, plain + b"Author: \xe9\n"),
        ("UTF-16", invalid, plain.decode().encode("utf-16")),
        ("a byte order mark", invalid, b"\xef\xbb\xbf" + plain),
        ("100 MB", "limit-ratio", plain + b"\n" + b"x" * 100_000_000),
        ("no name", invalid, plain.replace(b"Name: demo\n", b"")),
        ("NUL in the body", "", plain + b"\nbody\0body"),
        ("CRLF", "", plain.replace(b"\n", b"\r\n")),
    ]:
        yield _document("METADATA", label, expected, data)
    for field, values in {
        b"Name: demo": {"../demo": invalid, "demo_": invalid, "d\u00e9mo": invalid, "other": "wheel-name", "DEMO": ""},
        b"Version: 1.0": {
            "2": "wheel-name",
            "9" * 5000: invalid,
            "\u0967.0": invalid,
            "../1": invalid,
            "01.0": "",
            "1.0+x": "wheel-name",
            "1!1.0": "wheel-name",
        },
        b"Metadata-Version: 2.1": {"3.0": invalid, "x": "", "9" * 5000: invalid, "2.9": ""},
        b"Requires-Python: >=3.8": {"~=": "", ">=3." + "9" * 5000: "", "x" * 9000: "", "===3": ""},
    }.items():
        for value, expected in values.items():
            text = plain.replace(field, field.partition(b":")[0] + b": " + value.encode())
            yield _document("METADATA", f"{field.decode()} as {value[:12]}", expected, text)


def _wheel_files() -> Iterator[Case]:
    plain = _plain()[f"{INFO}/WHEEL"]
    invalid = "metadata-invalid"
    for value, expected in {
        "1.9": "",
        "1.0": "",
        "2.0": invalid,
        "": invalid,
        "x": invalid,
        "9" * 5000 + ".0": invalid,
        "1." + "9" * 5000: invalid,
        "1.0.0": "",
        "-1.0": invalid,
        "1": "",
    }.items():
        data = plain.replace(b"Wheel-Version: 1.0", b"Wheel-Version: " + value.encode())
        yield _document("WHEEL", f"version {value[:12]}", expected, data)
    compressed = ".".join(f"p{number}" for number in range(2000))
    for label, expected, data in [
        ("no version", invalid, plain.replace(b"Wheel-Version: 1.0\n", b"")),
        ("two versions", "", plain + b"Wheel-Version: 1.0\n"),
        ("purelib maybe", "", plain.replace(b"true", b"maybe")),
        ("not UTF-8", invalid, plain + b"X: \xe9\n"),
        ("empty", invalid, b""),
        ("20,000 lines", "limit-size", plain + b"x: y\n" * 20_000),
        ("huge compressed tags", "", plain + f"Tag: {compressed}-{compressed}-{compressed}\n".encode()),
        ("odd tags", "", plain + "Tag: \nTag: a-b\nTag: --\nTag: é-é-é\n".encode()),
    ]:
        yield _document("WHEEL", label, expected, data)


def _commands() -> Iterator[Case]:
    refused = "entry-point"
    for line, expected in {
        "../../x = a:b": refused,
        "/abs = a:b": refused,
        "a/b = a:b": refused,
        ".. = a:b": refused,
        ". = a:b": refused,
        "-a = a:b": refused,
        " = a:b": refused,
        "a": refused,
        "a = a": refused,
        "a = a:": refused,
        "a\\b = a:b": refused,
        "a = a:b; import os": refused,
        "a = a:b\n  import os": refused,
        "a = os:system('x')": refused,
        "$HOME = a:b": refused,
        "a = a:b\u2028b = c:d": refused,
        "a = a:b\na = c:d": "",
        "a;b = a:b": refused,
        "' = a:b": refused,
        "a" * 300 + " = a:b": refused,
        "a = " + "a." * 3000 + "b:c": refused,
        "a\0 = a:b": refused,
        "a = a..b:c": refused,
        "a = a:b()": "",
        "a = a:b ; note": "",
        "a: a:b": refused,
        "a = a:b [x": refused,
        "a = a : b . c": refused,
        "a = a:b [x,y]": "",
        "a b = a:b": "",
        "con = a:b": "",
        "é = a:b": "",
        "A = a:b\na = a:b": "",
        "a = a:b.c": "",
        "activate = a:b": "reserved-path",
        "pip = a:b": "reserved-path",
        "conda = a:b": "reserved-path",
    }.items():
        yield _document("entry_points.txt", repr(line[:30]), expected, f"[console_scripts]\n{line}\n")
    for label, expected, data in [
        ("not UTF-8", refused, b"[console_scripts]\n\xff = a:b\n"),
        ("no section", "", b"a = a:b\n"),
        ("a section without end", "", b"[x" * 1000),
        ("another section's nonsense", "", b"[x]\n../../x = $(x)\n"),
        ("2 MB", "limit-size", b"#" * 2_000_000),
    ]:
        yield _document("entry_points.txt", label, expected, data)


def _rows() -> Iterator[Case]:
    plain = _plain()[f"{INFO}/RECORD"]
    invalid = "record-invalid"
    for label, expected, data in [
        ("a row outside", "path-escape", plain + b"../../x,,\n"),
        ("an absolute row", "path-escape", plain + b"/etc/passwd,,\n"),
        ("a row too many", invalid, plain + b"x.py,,\n"),
        ("every row twice", "", plain + plain),
        ("millions of rows", invalid, plain + b"".join(b"x%d,,\n" % number for number in range(1_000_000))),
        ("a million blank lines", invalid, plain + b"\n" * 1_000_000),
        ("md5", "record-algorithm", plain.replace(b"sha256=", b"md5=")),
        ("sha1", "record-algorithm", plain.replace(b"sha256=", b"sha1=")),
        ("shake_128", "record-algorithm", plain.replace(b"sha256=", b"shake_128=")),
        ("an algorithm of 5,000 letters", "record-algorithm", plain.replace(b"sha256=", b"x" * 5000 + b"=")),
        ("no hashes", invalid, b"\n".join(line.split(b",")[0] + b",," for line in plain.splitlines())),
        ("four fields", invalid, plain.replace(b"\n", b",x\n")),
        ("an open quote", invalid, plain + b'"'),
        ("a field of 2 MB", invalid, b'"' + b"x" * 2_000_000 + b'",,\n' + plain),
        ("a byte order mark", "", b"\xef\xbb\xbf" + plain),
        ("UTF-16", invalid, plain.decode().encode("utf-16")),
        ("another hash", "record-hash", plain.replace(b"sha256=", b"sha256=A")),
        ("empty", invalid, b""),
        ("CRLF", "", plain.replace(b"\n", b"\r\n")),
        ("backslashes", "", plain.replace(b"demo/", b"demo\\")),
        ("./ before names", "", b"./" + plain),
        ("its own hash", "", plain.replace(b"RECORD,,", b"RECORD,sha256=aaaa,1")),
    ]:
        yield _document("RECORD", label, expected, data)


def _names() -> Iterator[Case]:
    for name, expected in {
        "../x": "path-escape",
        "/x": "path-escape",
        "C:\\x": "path-escape",
        "a\\..\\..\\x": "path-escape",
        f"{DATA}/scripts/../../../x": "path-escape",
        f"{INFO}/../x": "path-escape",
        f"{DATA}/headers/../../x": "path-escape",
        "a\u202eb": "zip-name",
        "a\tb": "zip-name",
        "demo/./x": "zip-name",
        "demo//x": "zip-name",
        "x" * 256: "limit-name",
        "a/" * 70 + "x": "limit-name",
        f"{DATA}/evil/x": "wheel-scheme",
        f"{DATA}/x": "wheel-scheme",
        DATA: "wheel-scheme",
        "other-1.0.data/scripts/x": "",
        "other-1.0.dist-info/METADATA": "wheel-dist-info",
        "demo-1.0.DIST-INFO/x": "wheel-dist-info",
        f"{DATA}/data/conda-meta/x.json": "reserved-path",
        f"{DATA}/data/pyvenv.cfg": "reserved-path",
        f"{DATA}/scripts/activate": "reserved-path",
        f"{DATA}/scripts/pip": "reserved-path",
        f"{DATA}/purelib/demo/__init__.py": "path-collision",
        "demo/__init__.py/x": "path-collision",
        "con": "",
        "aux.py": "",
        "a.": "",
        "a ": "",
        "a:b": "",
        "DEMO/x.py": "",
        "é.py": "",
        "-rf": "",
        "...": "",
        "~emo/x": "",
        "evil.pth": "",
        "sitecustomize.py": "",
        "json.py": "",
        "conda-meta/x": "",
        f"{DATA}/scripts/a b": "",
        f"{INFO}/INSTALLER": "",
        f"{INFO}/direct_url.json": "",
        "__pycache__/x.pyc": "",
        "demo.egg-info/PKG-INFO": "",
    }.items():
        yield _with(f"member {name[:40]!r}", expected, {name: b"x"})
    yield _with("two Unicode forms", "path-collision", {"\u00e9.py": b"", "e\u0301.py": b""})


def _scripts() -> Iterator[Case]:
    for line in (
        b"#!python",
        b"#!python -c 'x'\n",
        b"#!pythonw\n",
        b"#!" + b"x" * 100_000,
        b"#!python\0x",
        b"\x7fELF",
        b"",
    ):
        yield _with(f"script {line[:16]!r}", "", {f"{DATA}/scripts/run": line})
    for start in (b"\x7fELF", b"\x7fELF\x02\x01\x01", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"!<arch>\n"):
        yield _with(f"native {start!r}", "", {"demo/x.so": start + b"\xff" * 300})


def _file_names() -> Iterator[Case]:
    many = ".".join(f"p{number}" for number in range(30))
    product = ".".join(f"p{number}" for number in range(18))
    for name, expected in {
        f"demo-1.0-{many}-none-any.whl": "",
        f"demo-1.0-{product}-{product}-{product}.whl": "wheel-name",
        "demo-1.0-1-py3-none-any.whl": "",
        "demo-1.0-x-py3-none-any.whl": "wheel-name",
        "demo-1.0-py3-none.whl": "wheel-name",
        "demo-1.0.whl": "wheel-name",
        ".whl": "wheel-name",
        "demo-1.0-py3-none-any.WHL": "wheel-name",
        "demo-" + "1" * 200 + "-py3-none-any.whl": "wheel-dist-info",
        "démo-1.0-py3-none-any.whl": "wheel-dist-info",
        "demo -1.0-py3-none-any.whl": "wheel-name",
        "demo-1.0-999999999999999999999999-py3-none-any.whl": "",
        "demo-2.0-py3-none-any.whl": "wheel-dist-info",
        "other-1.0-py3-none-any.whl": "wheel-dist-info",
        "demo-1.0-py3-none-any\n.whl": "wheel-name",
    }.items():
        yield Case(f"file {name[:40]!r}", lambda: _wheel(_plain()), expected, name)


# --- conda packages


def _conda(label: str, expected: str, package: Conda) -> Case:
    return Case(label, package.build, expected, "demo-1.0-0.conda")


_RAW: Mapping[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "cut": b"{",
    "not UTF-8": b"\xff",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"a": NaN}',
    "a key twice": b'{"a": 1, "a": 2}',
    "deep lists": b"[" * 100_000,
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "deep objects": b'{"a":' * 200 + b"1" + b"}" * 200,
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "rest": b"{} x",
}


def _documents() -> Iterator[Case]:
    for name in ("index.json", "paths.json", "link.json", "about.json"):
        for label, data in _RAW.items():
            expected = "limit-size" if label.startswith("deep") else "conda-layout"
            yield _conda(f"{name}: {label}", expected, Conda(info={name: data}))
    for name in ("run_exports.json", "recipe/meta.yaml", "hash_input.json", "icon.png"):
        yield _conda(f"{name}: nonsense", "", Conda(info={name: b"\xff{"}))
    for key, values in {
        "name": ["../x", "", 3, None, ["demo"], "a/b", "other"],
        "version": ["../1", "", 3, None, "2.0"],
        "build": ["../0", "", 0, None, "1"],
        "noarch": [3, "text", ["python"], {"a": 1}],
    }.items():
        for value in values:
            yield _conda(f"index.json: {key} is {value!r}", "conda-layout", Conda(index={key: value}))
    for path in ("../x", "/x", "lib/../../x", "a\\b", "a\0b", 3, ["lib"], "./lib", "a//b"):
        package = Conda(index={"python_site_packages_path": path})
        yield _conda(f"index.json: site-packages {path!r}", "path-escape", package)
    yield _conda("index.json: 20,000 depends", "", Conda(index={"depends": ["a >=1"] * 20_000}))


def _listings() -> Iterator[Case]:
    layout = "conda-layout"
    odd: Mapping[str, list[object]] = {
        "path_type": [3, "unknown", ["hardlink"], {}],
        "sha256": [3, "zz", "A" * 64, ["a"], ""],
        "size_in_bytes": [-1, 1.5, "8", True, [8]],
        "prefix_placeholder": [3, "a", ["/opt"], "/opt/\0x", "/opt/\n"],
        "_path": [3, None, "../x", "/x", "a//b", "lib/other.txt"],
    }
    for key, values in odd.items():
        for value in values:
            escapes = isinstance(value, str) and key == "_path" and value in {"../x", "/x"}
            entry = dict(path_entry("lib/demo.txt")) | {key: value}
            yield _conda(
                f"paths.json: {key} is {value!r}"[:60], "path-escape" if escapes else layout, Conda(paths=[entry])
            )
    for mode in (3, True, [], ["text"], {}, {"a": 1}, "other"):
        entry = path_entry("lib/demo.txt", prefix_placeholder="/opt/place", file_mode=mode)
        yield _conda(f"paths.json: file_mode is {mode!r}", layout, Conda(paths=[entry]))
    for data, mode, expected in [
        (b"a\0/opt/place\0", "text", ""),
        (b"nothing", "text", ""),
        (b"\xff\xfe/opt/place", "text", ""),
    ]:
        entry = path_entry("lib/demo.txt", data, prefix_placeholder="/opt/place", file_mode=mode)
        package = Conda(payload=[tar_file("lib/demo.txt", data)], paths=[entry])
        yield _conda(f"placeholder {mode} in {data[:10]!r}", expected, package)
    linked = path_entry("lib/l", b"", path_type="softlink", prefix_placeholder="/opt/place", file_mode="text")
    payload = [tar_file("lib/demo.txt"), symlink("lib/l", "demo.txt")]
    yield _conda("a placeholder on a link", layout, Conda(payload=payload, paths=[path_entry("lib/demo.txt"), linked]))
    for value in (0, 2, "1", None, [1]):
        document = json.dumps({"paths": [path_entry("lib/demo.txt")], "paths_version": value}).encode()
        yield _conda(f"paths.json of version {value!r}", layout, Conda(info={"paths.json": document}))


def _link_documents() -> Iterator[Case]:
    def package(document: Mapping[str, object]) -> Conda:
        text = json.dumps({"package_metadata_version": 1, **document}).encode()
        files = {"payload": [tar_file(_SITE)], "paths": [path_entry(_SITE)]}
        return Conda(index={"noarch": "python"}, info={"link.json": text}, **files)  # type: ignore[arg-type]

    python: Mapping[str, object] = {"type": "python"}
    types: list[object] = [None, 3, "python", [], {}, {"a": 1}, {"type": 3}, {"type": "ruby"}, {"type": ["python"]}]
    for value in types:
        yield _conda(f"link.json: noarch is {value!r}", "conda-layout", package({"noarch": value}))
    for version in (None, True, 2, "1", [1]):
        document = {"noarch": python, "package_metadata_version": version}
        yield _conda(f"link.json: version {version!r}", "conda-layout", package(document))
    for points in (None, 3, "a = a:b", {}, {"a": "a:b"}, [3], [None], [["a = a:b"]]):
        yield _conda(
            f"link.json: commands {points!r}", "conda-layout", package({"noarch": {**python, "entry_points": points}})
        )
    for text in (
        "../../x = a:b",
        "/x = a:b",
        "a/b = a:b",
        ".. = a:b",
        " = a:b",
        "a",
        "a = a",
        "a = a:b; import os",
        "a = a:b\nx",
        "a = os:system('x')",
        "é = é:é",
        "a = a:b [x]",
        "a = a..b:c",
        "$(x) = a:b",
        "a\0 = a:b",
        "-a = a:b",
        "a=b=c:d",
    ):
        asked = {"noarch": {**python, "entry_points": [text]}}
        yield _conda(f"link.json: command {text!r}", "entry-point", package(asked))
    for text in ("a = a:b", "a = a:b.c", "a b = a:b", "con = a:b"):
        yield _conda(f"link.json: command {text!r}", "", package({"noarch": {**python, "entry_points": [text]}}))


def _payloads() -> Iterator[Case]:
    file = tar_file("lib/demo.txt")
    for kind, expected in {
        b"3": "tar-type",
        b"4": "tar-type",
        b"6": "tar-type",
        b"7": "tar-type",
        b"S": "tar-type",
        b"D": "tar-type",
        b"M": "tar-type",
        b"Z": "tar-type",
        b"\xff": "tar-type",
    }.items():
        yield _conda(f"a member of type {kind!r}", expected, Conda(payload=[file, tar_header("lib/odd", kind=kind)]))
    for mode in (0o4755, 0o2755, 0o1777, 0o7777, 0):
        yield _conda(f"mode {mode:o}", "", Conda(payload=[tar_file("lib/demo.txt", mode=mode)]))
    for target, expected in {
        "/etc/passwd": "path-escape",
        "../../../x": "path-escape",
        "not/there": "tar-type",
    }.items():
        hard = tar_header("lib/odd", kind=b"1", link=target)
        entries = [path_entry("lib/demo.txt"), path_entry("lib/odd")]
        yield _conda(f"a hard link to {target}", expected, Conda(payload=[file, hard], paths=entries))
    for target, expected in {
        "/etc": "path-escape",
        "../..": "path-escape",
        "..\\..\\x": "path-escape",
        "nothing": "",
        "odd": "",
        "demo.txt": "",
    }.items():
        entries = [path_entry("lib/demo.txt"), link_entry("lib/odd")]
        yield _conda(f"a link to {target}", expected, Conda(payload=[file, symlink("lib/odd", target)], paths=entries))
    chain = [symlink("a/b", ".."), symlink("c", "a/b/.."), file]
    entries = [link_entry("a/b"), link_entry("c"), path_entry("lib/demo.txt")]
    yield _conda("links that climb together", "path-escape", Conda(payload=chain, paths=entries))
    for name, expected in {
        "../x": "path-escape",
        "/x": "path-escape",
        "conda-meta/x.json": "reserved-path",
        "Conda-Meta/x": "reserved-path",
        "pyvenv.cfg": "reserved-path",
        "lib\u202ex": "conda-layout",
        "a\nb": "conda-layout",
        "x" * 256: "limit-name",
        "a/" * 45 + "x": "",
        "CACHEDIR.TAG": "",
        "__clobbers__/x": "",
        ".refprobe-x": "",
        "con": "",
        "a.": "",
        "Menu/x.json": "",
        "-rf": "",
        "...": "",
        "lib/Demo.txt": "",
        "bin/.demo-post-link.sh": "",
        "a:b": "",
    }.items():
        package = Conda(payload=[file, tar_file(name)], paths=[path_entry("lib/demo.txt"), path_entry(name)])
        yield _conda(f"member {name[:30]!r}", expected, package)


WHEELS = (
    *_metadata(),
    *_wheel_files(),
    *_commands(),
    *_rows(),
    *_names(),
    *_scripts(),
    *_file_names(),
)
CONDA = (*_documents(), *_listings(), *_link_documents(), *_payloads())
