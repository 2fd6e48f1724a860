"""Ports of this host that lead into a machine: chosen, or any that is free."""

import errno
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vcr.diagnosis.sockets import LISTEN, TABLES, UDP_TABLES, UNCONNECTED, listening_rows
from vcr.engines.machine import TCP, UDP, Forward
from vcr.engines.qemu.ports import NAME
from vcr.engines.relay import bound
from vcr.errors import HostError, UsageError
from vcr.model.health import HealthCheck, HttpProbe
from vcr.words import counted

LOOPBACK = "127.0.0.1"
# What others ask for, of IPv4 and of IPv6 → where this host asks for the same.
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
NETWORKS = (NAME, "pasta")  # of a machine, of a container
MAX_FORWARDS = 4096  # ports of this host that lead to an app: as many as it has streams
LAST_PORT = 65535
MAX_FREE = 256  # ports of an app that get a free port of this host without being asked for
_PORTS = r"(\d{1,5})(?:-(\d{1,5}))?"
_ADDRESS = r"(\d+(?:\.\d+){3}|\[[0-9A-Fa-f:.]{2,45}\])"
_FORM = re.compile(rf"(?:(?:{_ADDRESS}:)?{_PORTS}:)?{_PORTS}(?:/([A-Za-z]+))?")


def parse_forwards(texts: Iterable[str]) -> tuple[Forward, ...]:
    """Read `[[ADDRESS:]HOST:]GUEST[/udp]` each; host port 0 means any. Raises UsageError.

    HOST and GUEST may be ranges of one length, as docker-run(1) has them: 8000-8009:9000-9009.
    """
    found = tuple(forward for text in texts for forward in _parsed(text))
    if len(found) > MAX_FORWARDS:
        raise UsageError(
            f"-p names {counted(len(found), 'port')}",
            why=f"at most {MAX_FORWARDS} ports of this host lead to an app",
            fix="name only those that are needed",
        )
    _check_once(found)
    return found


def _check_once(forwards: Iterable[Forward]) -> None:
    """Raise UsageError for a port of this host that two of FORWARDS have.

    0.0.0.0 is any of it of IPv4, and :: any of IPv6.
    """
    addresses: dict[tuple[int, str, bool], set[str]] = {}
    for forward in forwards:
        key = forward.host, forward.protocol, ":" in forward.address
        there = addresses.setdefault(key, set())
        is_any = bool(there) and forward.address in ANY
        if forward.host and (is_any or there & {forward.address, *ANY}):
            raise UsageError(
                f"-p names port {forward.host} of this host twice"
                + (f", of {UDP.upper()}" if forward.protocol == UDP else ""),
                why="a port leads to one port of the app",
                fix="name another port of this host, or 0 for any",
            )
        there.add(forward.address)


def _parsed(text: str) -> list[Forward]:
    match = _FORM.fullmatch(text)
    if match is not None:
        address, guest = _address(match[1], text), _range(match[4], match[5])
        host: Sequence[int] = _range(match[2], match[3])
        if list(host) == [0]:  # any
            host = [0] * len(guest)
        if 0 < len(host) != len(guest) > 0:
            raise UsageError(
                f"{text!r} leads {counted(len(host), 'port')} of this host to"
                f" {len(guest)} of the app",
                fix="name as many of each, for instance -p 8000-8009:9000-9009",
            )
        is_right = len(host) > 0 and guest[0] >= 1 and guest[-1] <= LAST_PORT
        if is_right and (not any(host) or 1 <= host[0] <= host[-1] <= LAST_PORT):
            protocol = _protocol(match[6], text)
            return [Forward(address, *pair, protocol) for pair in zip(host, guest, strict=True)]
    raise UsageError(
        f"{text!r} does not say which port leads to which",
        fix="write -p 8080:8000, -p 0.0.0.0:8080:8000, -p 5353:53/udp, or for many"
        " -p 8000-8009:9000-9009",
    )


def _protocol(written: str | None, text: str) -> str:
    """Return the protocol that is WRITTEN at the end of TEXT; raises UsageError."""
    protocol = (written or TCP).lower()
    if protocol not in {TCP, UDP}:
        raise UsageError(
            f"{text!r} is of the protocol {written}",
            why="only ports of TCP and UDP can be forwarded",
            fix="leave it out for TCP, or write /udp",
        )
    return protocol


def _address(written: str | None, text: str) -> str:
    """Return the address that is WRITTEN in TEXT, in one form; raises UsageError."""
    try:
        return str(ipaddress.ip_address((written or LOOPBACK).strip("[]")))
    except ValueError:
        raise UsageError(
            f"{text!r} has no valid address",
            why=f"{written} is neither of IPv4 nor of IPv6",
            fix="write -p 0.0.0.0:8080:8000, or of IPv6 -p [::1]:8080:8000, -p [::]:8080:8000",
        ) from None


def _range(first: str | None, last: str | None) -> range:
    return range(int(first or 0), int(last or first or 0) + 1)


def free_ports(ports: Sequence[int], health: HealthCheck | None) -> tuple[int, ...]:
    """Return those of PORTS that get a free port of the host; and what HEALTH asks.

    An app may name thousands of ports, and a program gets only so many arguments; who wants one
    of the others asks for it, as `docker run` demands for each.
    """
    asked = health.probe.port if health and isinstance(health.probe, HttpProbe) else 0
    return tuple(sorted(ports, key=lambda port: port != asked)[:MAX_FREE])


def notes(
    others: Sequence[str], ports: Sequence[int], carried: str = "TCP and UDP only"
) -> list[str]:
    """Return what does not reach an app of PORTS, whose image EXPOSEs OTHERS, too.

    CARRIED says what does, as words.
    """
    found = []
    if others:
        named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        found.append(f"EXPOSE {named}: nothing leads there, since vcr forwards {carried}")
    if len(ports) > MAX_FREE:
        found.append(
            f"the app has {counted(len(ports), 'port')}: {MAX_FREE} get a free port of this host,"
            " `-p HOST:GUEST` forwards any other"
        )
    return found


def choose_forwards(
    guest_ports: Sequence[int], wanted: Iterable[Forward], udp_ports: Sequence[int] = ()
) -> tuple[Forward, ...]:
    """Return a forward for each of WANTED, of GUEST_PORTS, which are of TCP, and of UDP_PORTS.

    Raises HostError on a conflict.
    """
    chosen = list(wanted)
    covered = {(forward.guest, forward.protocol) for forward in chosen}
    exposed = [(port, TCP) for port in guest_ports] + [(port, UDP) for port in udp_ports]
    chosen += [Forward(LOOPBACK, 0, *each) for each in exposed if each not in covered]
    taken = {(forward.host, forward.protocol) for forward in chosen if forward.host}
    return tuple(_resolved(forward, taken) for forward in chosen)


def are_forwarded(wanted: Iterable[Forward], there: Sequence[Forward]) -> bool:
    """Return whether THERE is as WANTED: each port of the guest that is named by just these.

    A wanted port 0 of this host is any; a port of the guest that is not named may be anywhere.
    """
    asked = list(wanted)
    for target in {forward.target for forward in asked}:
        left = [forward for forward in there if forward.target == target]
        ours = [forward for forward in asked if forward.target == target]
        for forward in sorted(ours, key=lambda each: each.host == 0):  # any takes what is left
            match = next((each for each in left if _fits(forward, each)), None)
            if match is None:
                return False
            left.remove(match)
        if left:
            return False
    return True


def _fits(wanted: Forward, there: Forward) -> bool:
    return wanted.address == there.address and wanted.host in {0, there.host}


def check_free(wanted: Iterable[Forward], held: Iterable[Forward]) -> None:
    """Raise HostError when a port of this host that is WANTED is not free, and not one HELD."""
    ours = {(forward.host, forward.protocol) for forward in held}
    for forward in wanted:
        if (forward.host, forward.protocol) not in ours:
            _resolved(forward, set())


def _resolved(forward: Forward, taken: set[tuple[int, str]]) -> Forward:
    """Check that the host's port is free, or pick one that is not TAKEN, and add it there."""
    port, protocol = 0, forward.protocol
    while not port or (not forward.host and (port, protocol) in taken):  # it may pick one twice
        port = check_port(
            forward.address,
            forward.host,
            lambda other: f"-p {other}:{forward.target}",
            protocol,
        )
    taken.add((port, protocol))
    return replace(forward, host=port)


def check_port(address: str, port: int, spell: Callable[[int], str], protocol: str = TCP) -> int:
    """Return PORT of ADDRESS if it is free, any that is free for 0; raises HostError.

    SPELL says how another port is chosen. PROTOCOL: tcp or udp.
    """
    try:
        kind = socket.SOCK_DGRAM if protocol == UDP else socket.SOCK_STREAM
        with bound(address, port, kind) as probe:
            return int(probe.getsockname()[1])
    except PermissionError:
        raise HostError(
            f"port {port} needs more rights",
            why="only root may use ports below 1024",
            fix=f"choose another: {spell(port + 8000)}",
        ) from None
    except OSError as error:
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            raise HostError(
                f"this host has no address {address}",
                why=error.strerror or str(error),
                fix="`ip address` shows what it has; 127.0.0.1 is the default",
            ) from None
        holder = holder_of(port, protocol)
        raise HostError(
            f"port {port}{'/udp' if protocol == UDP else ''} is not free",
            why=f"{holder} listens on it" if holder else str(error.strerror),
            fix=f"stop that, or choose another: {spell(port + 1)}",
        ) from None


def holder_of(port: int, protocol: str = TCP) -> str:
    """Say which process listens on PORT ("NAME (pid N)"), "" if that cannot be seen."""
    inodes = set(_listeners(port, protocol))
    if not inodes:
        return ""
    for process in sorted(Path("/proc").glob("[0-9]*")):
        with suppress(OSError):  # processes end, and others' are not ours to see
            if any(str(fd.readlink()) in inodes for fd in (process / "fd").iterdir()):
                return _named((process / "comm").read_text().strip(), process.name)
    return ""


def _named(command: str, pid: str) -> str:
    if command.startswith(NETWORKS):
        return f"the network of a machine or container ({command}, pid {pid}; see `vcr ps --all`)"
    return f"{command} (pid {pid})"


def _listeners(port: int, protocol: str) -> Iterable[str]:
    """Yield the `socket:[inode]` links of listeners on PORT: proc_net_tcp in the kernel's docs."""
    tables, state = (UDP_TABLES, UNCONNECTED) if protocol == UDP else (TABLES, LISTEN)
    for table in tables:
        with suppress(OSError):
            rows = listening_rows(Path(table).read_text(), state)
            yield from (f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}"))
