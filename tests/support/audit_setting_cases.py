"""Damaged and sound environments of `test_audit.py`, as data: the settings that conda's clients find in them."""

from __future__ import annotations

from pathlib import Path

from tests.support.audit_cases import NUMPY, Build, Case, Expected, do, numpy, put
from tests.support.prefixes import PrefixBuilder

PINNED, STATE = "conda-meta/pinned", "conda-meta/state"
VARIABLES = "etc/conda/env_vars.d/mine.json"
BUNDLE = b"# a comment\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def pinned(name: str, text: bytes, *found: tuple[str, str, str | None]) -> Case:
    expected = tuple((kind, level, PINNED, owner, None) for kind, level, owner in found)
    return Case(name, do(numpy, put(PINNED, text)), expected)


def broken(name: str, build: Build, path: str = STATE) -> Case:
    # A file that no record claims is a fact of its own.
    unowned: tuple[Expected, ...] = (("unowned-file", "info", "etc", None, None),) if path == VARIABLES else ()
    return Case(name, do(numpy, build), (("broken-setting", "error", path, None, None), *unowned))


def certificates(name: str, variable: str, data: bytes | None = None, *, is_wrong: bool = False) -> Case:
    """A variable of the process that names `bundle.pem` beside the environment."""

    def build(made: object) -> None:
        numpy(made)  # type: ignore[arg-type]
        if data is not None:
            (made.root.parent / "bundle.pem").write_bytes(data)  # type: ignore[attr-defined]

    def environ(root: Path) -> dict[str, str]:
        return {variable: str(root / "bundle.pem")}

    expected: tuple[Expected, ...] = (("missing-certificates", "warning", None, None, None),) if is_wrong else ()
    return Case(name, build, expected, environ=environ)


KERNEL = "share/jupyter/kernels/mine/kernel.json"
SPEC = b'{"argv": ["/nowhere/bin/python", "-m", "ipykernel_launcher"], "display_name": "Mine"}'


def activation(text: str, *found: str) -> Case:
    """A script of a virtual environment; `{}` stands for its place."""

    def build(made: PrefixBuilder) -> None:
        made.write("pyvenv.cfg", b"home = /usr/bin\n")
        made.write("bin/activate.fish", text.format(made.root).encode())

    expected = tuple((kind, "error", "bin/activate.fish", None, None) for kind in found)
    unowned: tuple[Expected, ...] = tuple(
        ("unowned-file", "info", path, None, None) for path in ("bin/activate.fish", "pyvenv.cfg")
    )
    return Case(f"it activates: {text.strip()}", build, (*expected, *unowned))


SETTINGS = [
    activation('set -gx VIRTUAL_ENV "{}"\n'),
    activation("set -gx VIRTUAL_ENV /elsewhere/env\n", "foreign-prefix"),
    activation("export VIRTUAL_ENV='/else where/env'\n", "foreign-prefix"),
    activation("let virtual_env = '/elsewhere'\n", "foreign-prefix"),
    activation("VIRTUAL_ENV=$(cd .. && pwd)\n"),
    Case("a kernel of a package", lambda made: made.wheel("ipykernel", "6", {KERNEL: SPEC})),
    Case(
        "a kernel of a relative interpreter",
        do(numpy, put(KERNEL, SPEC.replace(b"/nowhere/bin/", b""))),
        (("unowned-file", "info", "share", None, None),),
    ),
    Case(
        "a kernel that is no document",
        do(numpy, put(KERNEL, b"[")),
        (("broken-kernel", "warning", KERNEL, None, None), ("unowned-file", "info", "share", None, None)),
    ),
    Case(
        "a kernel whose interpreter is gone",
        do(numpy, put(KERNEL, SPEC)),
        (("broken-kernel", "warning", KERNEL, None, None), ("unowned-file", "info", "share", None, None)),
    ),
    pinned("pins that are met", b"\xef\xbb\xbf# ours\nnumpy <2  # for torch\n\nabsent 1.*\npython 3.12.*\n"),
    pinned("a pin that is not met", b"numpy >=2\n", ("unmet-pin", "warning", NUMPY)),
    pinned("a pin of another build", b"numpy 1.26.4 mkl_*\n", ("unmet-pin", "warning", NUMPY)),
    pinned("a pin of a channel", b"conda-forge::numpy 1.26.*\r\nnumpy[version='<2']\r\n"),
    pinned("a pin that is none", b"numpy <2\nnumpy ==1 =2 =3 [x\n", ("broken-setting", "error", None)),
    pinned("pins of garbage", b"\xff\xfe\0n", ("broken-setting", "error", None)),
    Case("variables of a person", do(numpy, put(STATE, b'{"version": 1, "env_vars": {"A": "b"}}'))),
    broken("variables of garbage", put(STATE, b"{")),
    broken("variables that are no object", put(STATE, b'{"env_vars": ["A"]}')),
    broken("variables of a package that are garbage", put(VARIABLES, b"A=b"), VARIABLES),
    certificates("certificates that are there", "SSL_CERT_FILE", BUNDLE),
    certificates("certificates that are not there", "REQUESTS_CA_BUNDLE", is_wrong=True),
    certificates("a file of certificates without any", "CURL_CA_BUNDLE", b"moved\n", is_wrong=True),
    Case(
        "certificates that the environment sets, and that are not there",
        do(numpy, put(STATE, b'{"env_vars": {"SSL_CERT_FILE": "/nowhere/cert.pem"}}')),
        (("missing-certificates", "warning", STATE, None, None),),
    ),
]
