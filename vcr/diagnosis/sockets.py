"""Where a network namespace listens: /proc/net/tcp and the like, proc_pid_net(5).

guest/agent/facts.go has the same rule; tests/vectors/listeners.json tries both.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from vcr.diagnosis.facts import MAX_LISTENERS, Listener

LISTEN, UNCONNECTED = "0A", "07"  # include/net/tcp_states.h; the second of UDP
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
UDP_TABLES = ("/proc/net/udp", "/proc/net/udp6")
MOST_ROWS = 100_000
_LOCAL = re.compile(r"([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})")


def listening_rows(text: str, state: str = LISTEN) -> Iterator[list[str]]:
    """Yield the fields of each row of the table TEXT that is of a socket in STATE."""
    for row in text.splitlines()[1:MOST_ROWS]:
        fields = row.split()
        if len(fields) > 3 and fields[3] == state:
            yield fields


def parse_listeners(text: str, state: str = LISTEN) -> list[Listener]:
    """Return what the table TEXT says of sockets in STATE, in order and each once."""
    found = set()
    for fields in listening_rows(text, state):
        if match := _LOCAL.fullmatch(fields[1]):
            found.add(Listener(_address(match[1]), int(match[2], 16)))
    return sorted(found, key=lambda each: (each.port, each.address))


def listeners(tables: Iterable[str] = TABLES) -> tuple[Listener, ...]:
    """Return where the network of this process listens."""
    found: list[Listener] = []
    for table in tables:
        with suppress(OSError):
            state = UNCONNECTED if table in UDP_TABLES else LISTEN
            found += parse_listeners(Path(table).read_text(), state)
    return tuple(found[:MAX_LISTENERS])


def _address(text: str) -> str:
    """Return the address that the kernel prints as words of 32 bits in the CPU's byte order."""
    data = bytes.fromhex(text)
    words = (data[at : at + 4][::-1] for at in range(0, len(data), 4))
    address = ipaddress.ip_address(b"".join(words))
    return str(getattr(address, "ipv4_mapped", None) or address)
