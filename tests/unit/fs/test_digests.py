"""The sha256 of short texts is that of `hashlib`, which is not loaded for it."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from bridge.fs.digests import sha256_hex


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1000, (1 << 16) - 1, 1 << 16, 1 << 20])
def test_it_is_the_same(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    assert sha256_hex(data) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("text", "missing", "is_loaded"), [("b'a'", "", False), ("b'a'", "_sha2 _sha256", True)])
def test_openssl_is_loaded_only_where_it_must_be(text: str, missing: str, is_loaded: bool) -> None:
    program = (
        "import sys\nfrom bridge.cli.late import postpone\npostpone()\n"
        f"sys.modules.update(dict.fromkeys({missing.split()}))\n"
        "from bridge.fs.digests import sha256_hex\n"
        f"print(sha256_hex({text}), '_hashlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [hashlib.sha256(b"a").hexdigest(), str(is_loaded)]
