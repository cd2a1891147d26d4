"""Damaged lines: where they are, and what they were where one flipped bit or byte is all that is wrong.

CRC-32 tells every single flipped bit of a line apart, so the difference between the checksum written and the one
computed says which bit it was: d bytes before the end, a flipped bit changes the checksum by what d zero bytes make
of the change it would cause in the last byte. The search below takes those zero bytes away again, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from tierlens.errors import DamagedLine
from tierlens.journal.codec import PREFIX, Line, decode, undamaged, undamaged_length

_COVERED: Final = len(PREFIX) + 9
_LONGEST: Final = 4 << 20


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xEDB88320 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(_entry(byte) for byte in range(256))
_BY_TOP: Final = {entry >> 24: byte for byte, entry in enumerate(_TABLE)}
_BIT: Final = {_TABLE[1 << bit]: 1 << bit for bit in range(8)}


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no undamaged line, from ``offset`` on."""

    offset: int
    raw: bytes


def damages(content: bytes, final: bool) -> Iterator[Damage]:
    """The damaged stretches of a segment; undamaged lines inside of them are left out.

    Args:
        final: nobody writes to it any more, so that an unfinished last line is a damaged one.
    """
    end = len(content) if final else content.rfind(b"\n") + 1
    at, found = 0, None
    for raw in content[:end].split(b"\n"):
        if raw and not undamaged(raw):
            for damage in _outside(at, raw):
                # A flipped bit may have made a newline of what was none: neighbours may be one line.
                adjoins = found is not None and found.offset + len(found.raw) + 1 == damage.offset
                if found is not None and adjoins:
                    found = Damage(found.offset, found.raw + b"\n" + damage.raw)
                else:
                    if found is not None:
                        yield found
                    found = damage
        at += len(raw) + 1
    if found is not None:
        yield found


def _outside(offset: int, raw: bytes) -> Iterator[Damage]:
    """What of a damaged raw line lies outside of the undamaged lines that it may hold."""
    starts = [0]
    while (at := raw.find(PREFIX, starts[-1] + 1)) > 0:
        starts.append(at)
    for start, end in zip(starts, [*starts[1:], len(raw)], strict=True):
        length = undamaged_length(raw[start:end])
        # One byte may be left over: what has become of the newline.
        if end - start > length + bool(length):
            yield Damage(offset + start + length, raw[start + length : end])


def mended(raw: bytes) -> list[Line]:
    """The lines that these bytes were, as far as one flipped bit in each, or one wrong byte at its beginning, is the
    damage."""
    parts, found = raw.split(b"\n"), []
    while parts:
        # A newline may be a flipped bit as well.
        for width in (1, 2):
            if (line := _mended(b"\n".join(parts[:width]))) is not None:
                found.append(line)
                del parts[: width - 1]
                break
        del parts[:1]
    return found


def _mended(raw: bytes) -> Line | None:
    if len(raw) <= _COVERED or len(raw) > _LONGEST:
        return None
    covered = raw[_COVERED:]
    again = b'%b%08x"' % (PREFIX, crc32(covered))
    if sum(a != b for a, b in zip(again, raw[:_COVERED], strict=True)) <= 1:
        return _read(again + covered)
    if not raw.startswith(PREFIX):
        return None
    try:
        difference = crc32(covered) ^ int(raw[len(PREFIX) : _COVERED - 1], 16)
    except ValueError:
        return None
    for back in range(len(covered)):
        if bit := _BIT.get(difference):
            at = len(covered) - 1 - back
            flipped = covered[:at] + bytes([covered[at] ^ bit]) + covered[at + 1 :]
            return _read(raw[:_COVERED] + flipped)
        last = _BY_TOP[difference >> 24]
        difference = ((difference ^ _TABLE[last]) << 8 | last) & 0xFFFFFFFF
    return None


def _read(raw: bytes) -> Line | None:
    try:
        return decode(raw)
    except DamagedLine:
        return None
