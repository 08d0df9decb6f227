"""Mutations of bytes, by a seed: the same seed gives the same inputs on every machine."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

__all__ = ["TOKENS", "mutations"]

TOKENS: tuple[bytes, ...] = (
    b"\x00",
    b"\xff",
    b"\xfe\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"\x0b",
    b"\x1c",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"..",
    b"../",
    b"/",
    b"\\",
    b"//",
    b".",
    b"C:\\",
    b"~",
    b'"',
    b"'",
    b"`",
    b"$(x)",
    b";",
    b"#",
    b"%",
    b"%2e%2e%2f",
    b"%00",
    b"@",
    b":",
    b"=",
    b"==",
    b"===",
    b"~=",
    b"!=",
    b"<",
    b">",
    b"|",
    b",",
    b"*",
    b"[",
    b"]",
    b"{",
    b"}",
    b"(",
    b")",
    b"<!--",
    b"]]>",
    b"&#0;",
    b"&#55296;",
    b"null",
    b"true",
    b"NaN",
    b"Infinity",
    b"-0",
    b"-1",
    b"1e999",
    b"0x10",
    b"9" * 30,
    b"9" * 4301,
    b"1" * 19,
    b"\\u0000",
    b"\\ud800",
    b"[[[[",
    b"[" * 300,
    b'{"a":' * 70,
    b"1!2",
    b"1.0+local",
    b"1.0.dev0",
    b"*.*",
    b"^(a+)+$",
    b"^[",
    b"*_0",
    b"http://[",
    b"file:///etc/passwd",
    b"file://host/x",
    b"javascript:",
    b"https://u:p@h/",
    b"sha256=",
    b"md5=",
    b"=?utf-8?q?x?=",
    b"=?unknown-charset?b?/w==?=",
    b"Name: a\n",
    b"Content-Type: text/plain; charset=x-nothing\n",
    b"con",
    b"nul.txt",
    b"a" * 300,
    b"\xc3\xa9",
    b"e\xcc\x81",
    b"\xef\xac\x81",
)
_MOST = 1 << 20


def mutations(seeds: Sequence[bytes], seed: int, count: int | None = None) -> Iterator[bytes]:
    """`count` inputs (`None`: without end), each a seed with one to six changes; the seeds themselves come first."""
    chance = random.Random(seed)
    made = 0
    for data in seeds:
        if count is None or made < count:
            made += 1
            yield data
    while count is None or made < count:
        made += 1
        changed = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 6))):
            _change(changed, seeds, chance)
        yield bytes(changed[:_MOST])


def _change(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    place = chance.randrange(len(data) + 1)
    length = min(chance.choice((1, 1, 2, 4, 8, 30, 200)), len(data) - place)
    kind = chance.randrange(9)
    if kind == 0 and data:
        data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
    elif kind == 1 and data:
        data[min(place, len(data) - 1)] = chance.randrange(256)
    elif kind == 2:
        del data[place : place + length]
    elif kind == 3:
        data[place:place] = data[place : place + length] * chance.choice((1, 2, 50))
    elif kind in {4, 5}:
        data[place:place] = chance.choice(TOKENS)
    elif kind == 6:
        data[place : place + length] = chance.choice(TOKENS)
    elif kind == 7:
        other = chance.choice(seeds)
        start = chance.randrange(len(other) + 1)
        data[place:place] = other[start : start + chance.choice((4, 40, 400))]
    else:
        del data[place:]
