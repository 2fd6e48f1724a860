"""QEMU's state in canonical form. The streams are made here by the form of QEMU 10.0; that
QEMU itself writes and reads it, tests/integration/test_prod.py shows."""

import struct

import pytest

from vcr.formats.failure import Failure
from vcr.formats.migration import MAGIC, PAGE, canonical, device_sections

NEVER = (1 << 64) - 1
FOOTER = b"\x7e" + struct.pack(">I", 2)


def named(name: bytes) -> bytes:
    return bytes([len(name)]) + name


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + struct.pack(">I", 2) + body + struct.pack(">Q", 0x10) + FOOTER


def page(
    address: int, content: bytes | None, block: bytes = b"rom", *, same: bool = False
) -> bytes:
    flags = (8 if content is not None else 2) | (0x20 if same else 0)
    data = struct.pack(">Q", address | flags) + (b"" if same else named(block))
    return data + (content if content is not None else b"\0")


def devices(*, bias: int = 1000, count: int = 500, deadline: int = 2000, ticks: int = 7) -> bytes:
    return b"".join(
        (
            b"\x04timer section" + named(b"timer") + struct.pack(">II", 0, 2),
            struct.pack(">qqq", ticks, 0, ticks),
            named(b"timer/icount") + struct.pack(">I", 1) + struct.pack(">qq", bias, count),
            named(b"cpu/timer") + struct.pack(">I", 1) + struct.pack(">QQ", deadline, NEVER),
            named(b"globalstate") + struct.pack(">II", 0, 1),
            struct.pack(">I", 7) + b"paused\0".ljust(100, b"\0"),
            b"\0",
        )
    )


def stream(*parts: bytes, tail: bytes | None = None) -> bytes:
    capabilities = named(b"x-ignore-shared")
    head = MAGIC + b"\x07" + struct.pack(">I", 4) + b"virt"
    head += b"\x05" + named(b"configuration/capabilities") + struct.pack(">II", 1, 1) + capabilities
    sizes = struct.pack(">Q", 4 * PAGE | 4) + named(b"rom") + struct.pack(">QQ", 4 * PAGE, 0)
    start = section(1, named(b"ram") + struct.pack(">II", 0, 4) + sizes)
    return head + start + b"".join(parts) + (devices() if tail is None else tail)


ONE, TWO = b"1" * PAGE, b"2" * PAGE


def test_how_memory_was_cut_does_not_matter() -> None:
    at_once = stream(section(3, page(0, ONE) + page(PAGE, TWO, same=True) + page(2 * PAGE, None)))
    in_pieces = stream(section(2, page(2 * PAGE, None) + page(PAGE, TWO)), section(3, page(0, ONE)))
    assert canonical(at_once).stream == canonical(in_pieces).stream
    # A section goes on with the block that the one before ended with.
    rest = page(PAGE, TWO, same=True) + page(2 * PAGE, None, same=True)
    cut = stream(section(2, page(0, ONE)), section(3, rest))
    assert canonical(cut).stream == canonical(at_once).stream
    # What is left for after the switchover is a matter of timing, too.
    over = b"\x08" + struct.pack(">HH", 11, 0)
    before = stream(section(2, page(0, ONE) + rest), over, section(3, b""))
    after = stream(section(2, page(0, ONE)), over, section(3, rest))
    assert canonical(before).stream == canonical(after).stream
    assert canonical(canonical(after).stream).stream == canonical(after).stream
    # The last that was said of a page counts.
    again = stream(section(2, page(0, TWO)), section(3, page(0, ONE) + page(PAGE, TWO, same=True)
                                                     + page(2 * PAGE, None)))  # fmt: skip
    assert canonical(again).stream == canonical(at_once).stream
    assert canonical(stream(section(3, page(0, TWO)))).stream != canonical(at_once).stream


def test_the_canonical_form_stays_as_it_is() -> None:
    made = canonical(stream(section(3, page(PAGE, TWO) + page(0, ONE)))).stream
    assert canonical(made).stream == made


def test_when_the_host_stopped_it_does_not_matter() -> None:
    rest = section(3, page(0, ONE))
    early = stream(rest, tail=devices(bias=1000, ticks=7))
    # The clock had jumped ahead to the next deadline, 2000, already.
    late = stream(rest, tail=devices(bias=1500, ticks=123456))
    assert canonical(early).stream == canonical(late).stream
    assert canonical(early).instructions == 500
    assert b"running\0" in canonical(early).stream
    other = stream(rest, tail=devices(deadline=2001))
    assert canonical(other).stream != canonical(early).stream


def test_a_machine_without_a_deadline_keeps_its_clock() -> None:
    found = canonical(stream(section(3, page(0, ONE)), tail=devices(deadline=NEVER)))
    assert struct.pack(">qq", 1000, 500) in found.stream


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"QEVM\0\0\0\2", "unknown form"),
        (stream(section(3, page(0, ONE)))[:60], "ends early"),
        (stream(section(3, struct.pack(">Q", 0x40))), "unknown page flag 0x40"),
        (stream(section(3, page(0, ONE)), tail=b"\0"), "0 sections timer"),
        (stream(section(3, page(0, ONE)), tail=devices() * 2), "2 sections timer"),
        (stream(section(3, page(0, ONE)), tail=devices(deadline=3)), "past its next deadline"),
    ],
)
def test_what_is_not_as_known_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(Failure, match=words):
        canonical(data)


def test_the_devices_of_a_stream() -> None:
    def device(number: int, name: bytes, content: bytes) -> bytes:
        ident = struct.pack(">I", number)
        return b"\x04" + ident + named(name) + struct.pack(">II", 1, 0) + content + b"\x7e" + ident

    # Content that looks like a footer, but with nothing after it that could be.
    tricky = b"a\x7e" + struct.pack(">I", 8) + b"b"
    data = stream(
        section(3, page(0, ONE)), tail=device(7, b"cpu", b"x") + device(8, b"uart", tricky)
    )
    found = [(each.name, each.instance, each.content) for each in device_sections(data)]
    assert found == [("cpu", 1, b"x"), ("uart", 1, tricky)]
    with pytest.raises(Failure, match="has no end"):
        list(device_sections(stream(section(3, page(0, ONE)), tail=device(7, b"c", b"x")[:-1])))
