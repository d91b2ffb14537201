"""Damage to valid files as accidents and attackers do it, drawn by hypothesis so that a failure comes out small."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Step = tuple[str, int, int]
"""What is done, where, and with which of the values at hand; any numbers do, they are taken modulo."""

_INTEGERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1,
             2**40, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
_TEXTS = (b"", b"0", b"-1", b"1", b"3", b"0.5", b"-0", b"65536", b"2147483648", b"99999999999999999999", b"1e400",
          b"1e-320", b"nan", b"inf", b"-inf", b"x", b'"', b"'", b"<", b">", b"&", b"{", b"}", b"[", b"]", b",", b"\0",
          b"\xff", "²".encode(), b"../../x", b"/etc/passwd", b"%n", b"\n", b" ")  # fmt: skip
_VALUES: tuple[Any, ...] = (None, True, 0, -1, 1, 2**31, 2**70, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x",
                            "../../x", "é", [], [[]], [0], {}, {"a": None}, [1, 2, 3], ["x"] * 9)  # fmt: skip
_TOKEN = re.compile(rb"-?\d+(?:\.\d+)?|[A-Za-z_]{2,}")
_NUMBER = re.compile(rb"(?<![\w#])-?\d+(?:\.\d+)?")

_STEPS = ("flip", "byte", "word", "word", "cut", "drop", "twice", "zeros", "token", "token", "line", "leaf", "swap")

plans = st.lists(
    st.tuples(st.sampled_from(_STEPS), st.integers(0, 2**16 - 1), st.integers(0, 2**10 - 1)), min_size=1, max_size=2
)
"""One or two steps, each a small thing to shrink."""


def mutate(path: Path, plan: list[Step]) -> None:
    """Damage a file, or one file of a folder, in place; what is packed is unpacked first half of the time."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        path = files[plan[0][1] % len(files)]
    content = path.read_bytes()
    for step in plan:
        content = _packed(content, step) if step[2] & 1 else change(content, step)
    path.write_bytes(content)


def change(content: bytes, step: Step) -> bytes:
    """One step of damage to these bytes."""
    kind, where, what = step
    if not content:
        return b"\0" * (what % 9)
    # Every other place lies among the first bytes: headers are where the harm is.
    at = where // 2 % min(len(content), 400) if where & 1 else where * len(content) >> 16
    # Most damage to text ends in its grammar; half of it goes on to what the text says.
    if where & 2 and content[:1] in (b"{", b"["):
        kind = "leaf"
    elif where & 2 and content[:1] == b"<":
        kind = "number"
    return _KINDS[kind](content, at, what)


def _flip(content: bytes, at: int, what: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << what % 8]) + content[at + 1 :]


def _byte(content: bytes, at: int, what: int) -> bytes:
    return content[:at] + bytes([what & 255]) + content[at + 1 :]


def _word(content: bytes, at: int, what: int) -> bytes:
    size = (2, 4, 8, 4)[what % 4]
    value = _INTEGERS[what // 4 % len(_INTEGERS)] % 256**size
    return content[:at] + value.to_bytes(size, "big" if what & 512 else "little") + content[at + size :]


def _cut(content: bytes, at: int, what: int) -> bytes:
    return content[:at]


def _drop(content: bytes, at: int, what: int) -> bytes:
    return content[:at] + content[at + 1 + what % 64 :]


def _twice(content: bytes, at: int, what: int) -> bytes:
    part = content[at : at + 1 + what % 64]
    return content[:at] + part * (2 if what & 256 else 300) + content[at:]


def _zeros(content: bytes, at: int, what: int) -> bytes:
    size = 1 + what % 64
    return content[:at] + bytes(size) + content[at + size :]


def _number(content: bytes, at: int, what: int) -> bytes:
    return _token(content, at, what, _NUMBER)


def _token(content: bytes, at: int, what: int, pattern: re.Pattern[bytes] = _TOKEN) -> bytes:
    """Another number or word in the place of one: the same length in binary files, whose places must not move."""
    found = list(pattern.finditer(content[: 2**14]))
    if not found:
        return _byte(content, at, what)
    place = found[at % len(found)]
    new = _TEXTS[what // 2 % len(_TEXTS)]
    if b"\0" in content[: 2**10]:
        new = new[: place.end() - place.start()].rjust(place.end() - place.start())
    return content[: place.start()] + new + content[place.end() :]


def _line(content: bytes, at: int, what: int) -> bytes:
    """A line is left out, comes twice, or changes places with the next."""
    lines = content.split(b"\n")
    n = at % len(lines)
    lines[n : n + 2] = ([], lines[n : n + 1] * 2, lines[n : n + 2][::-1])[what % 3]
    return b"\n".join(lines)


def _leaf(content: bytes, at: int, what: int) -> bytes:
    """Another value in the place of one in JSON."""
    try:
        tree = json.loads(content)
    except ValueError:
        return _token(content, at, what)
    places = list(_leaves(tree))
    if not places:
        return _byte(content, at, what)
    parent, key = places[at % len(places)]
    if what // 2 % 7 == 0:
        del parent[key]
    else:
        parent[key] = _VALUES[what // 2 % len(_VALUES)]
    return json.dumps(tree).encode()


def _swap(content: bytes, at: int, what: int) -> bytes:
    """Two parts of the file change places."""
    size = 1 + what % 64
    other = at * 7919 % len(content)
    first, second = sorted((at, other))
    if second - first < size:
        return _flip(content, at, what)
    return (content[:first] + content[second : second + size] + content[first + size : second]
            + content[first : first + size] + content[second + size :])  # fmt: skip


def _leaves(tree: Any) -> Any:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(inside):
        yield tree, key
        yield from _leaves(value)


_KINDS: dict[str, Callable[[bytes, int, int], bytes]] = {
    "flip": _flip, "byte": _byte, "word": _word, "cut": _cut, "drop": _drop, "twice": _twice, "zeros": _zeros,
    "token": _token, "number": _number, "line": _line, "leaf": _leaf, "swap": _swap,
}  # fmt: skip


def _packed(content: bytes, step: Step) -> bytes:
    """Damage within gzip, a member of a zip or a chunk of a PNG, or behind the text header of NRRD and MHA."""
    try:
        if content.startswith(b"\x1f\x8b"):
            return gzip.compress(change(gzip.decompress(content), step), 1)
        if content.startswith(b"PK"):
            return _rezipped(content, step)
        if content.startswith(b"\x89PNG"):
            return _rechecked(content, step)
        if (start := content.find(b"\x1f\x8b\x08")) > 0:
            return content[:start] + gzip.compress(change(gzip.decompress(content[start:]), step), 1)
        if b"CompressedData = True" in content:
            start = content.index(b"\n", content.index(b"ElementDataFile")) + 1
            return content[:start] + zlib.compress(change(zlib.decompress(content[start:]), step), 1)
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        ZeroDivisionError,
        IndexError,
    ):
        pass  # fmt: skip
    return change(content, step)


def _rezipped(content: bytes, step: Step) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        names = old.namelist()
        for n, name in enumerate(names):
            inside = old.read(name)
            new.writestr(name, change(inside, step) if n == step[1] % len(names) else inside)
    return made.getvalue()


def _rechecked(content: bytes, step: Step) -> bytes:
    """Damage to one chunk of a PNG, whose checksum is right again."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    n = step[1] % len(chunks)
    made = content[:8]
    for m, (kind, inside) in enumerate(chunks):
        body = kind + (change(inside, step) if m == n else inside)
        made += (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return made
