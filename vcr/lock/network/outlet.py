"""The way out for a program that follows what servers say: checked, hop by hop.

skopeo goes where a registry sends it. So it runs in a network of its own, which has a
loopback and nothing else, and its only way out is a proxy of vcr that ends in this process:
each host is looked up once, and this host is refused, but for the registry that was named.
Where the kernel lets no such network be made, the proxy alone is there; then what is named
127.0.0.1, ::1 or localhost is not asked of it: golang.org/x/net/http/httpproxy, useProxy.
"""

import contextlib
import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vcr.lock.network.relay import Relay

# Makes the network, gives this process what listens in it, and becomes the program.
# Arguments: the socket to give it to, the ports to listen on beside the proxy's, the argv.
ENTER = """
import ctypes, fcntl, os, signal, socket, struct, sys
door, ports, argv = sys.argv[1], sys.argv[2], sys.argv[3:]
uid, gid = os.getuid(), os.getgid()
def alone():
    try:
        os.unshare(os.CLONE_NEWNET)
    except OSError:
        try:
            os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
            for name, text in ("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), (
                "gid_map", f"{gid} {gid} 1"
            ):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        except OSError:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lo:
        lo_up = struct.pack("16sh14x", b"lo", 1)
        fcntl.ioctl(lo, 0x8914, lo_up)
    return True
kept = alone()
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
doors = [socket.create_server(("127.0.0.1", 0))]
for place in ports.split() if kept else ():
    host, _, port = place.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    doors.append(socket.create_server((host, int(port)), family=family))
with socket.socket(socket.AF_UNIX) as to:
    to.connect(door)
    socket.send_fds(to, [b"x"], [each.fileno() for each in doors])
    to.recv(1)
address = f"http://127.0.0.1:{doors[0].getsockname()[1]}"
for each in doors:
    each.close()
for name in ("no_proxy", "all_proxy"):
    os.environ.pop(name, None), os.environ.pop(name.upper(), None)
for name in ("http_proxy", "https_proxy"):
    os.environ[name] = os.environ[name.upper()] = address
os.execv(argv[0], argv)
"""
WEB = (443, 80)  # where a registry without a port is
MAX_DOORS = 8


@dataclass
class Outlet:
    """A way out that is open."""

    before: tuple[str, ...]  # what the program's argv begins with
    relay: Relay
    refused: list[str] = field(default_factory=list)  # why, of each host that was


@contextlib.contextmanager
def outlet(registry: str, scratch: Path) -> Iterator[Outlet]:
    """Yield the way out for a program that asks REGISTRY, "HOST[:PORT]"; SCRATCH is a directory.

    For as many runs of the program as there are in the block.
    """
    host, ports = _parsed(registry)
    own = _loopback(host)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(scratch / "door"))
    listener.listen()
    refused: list[str] = []
    relay = Relay({(host, port) for port in ports}, refused.append)
    inside = [f"{address}:{port}" for address in own for port in ports]
    before = (sys.executable, "-I", "-S", "-B", "-c", ENTER, str(scratch / "door"))
    with listener, relay.closing():
        _start(_serve, listener, relay, [(address, port) for address in own for port in ports])
        yield Outlet((*before, " ".join(inside)), relay, refused)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, relay: Relay, places: list[tuple[str, int]]) -> None:
    """Take what listens in each network that is made; the first is the proxy's."""
    while True:
        try:
            program, _ = listener.accept()
        except OSError:
            return  # closed
        with program, contextlib.suppress(OSError):  # it has ended
            _, handles, _, _ = socket.recv_fds(program, 1, MAX_DOORS)
            doors = [socket.socket(fileno=handle) for handle in handles]
            for door, place in zip(doors, (None, *places), strict=False):
                relay.keep(door)
                _start(relay.accept, door, place)
            program.sendall(b"x")


def _start(work: object, *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()  # type: ignore[arg-type]


def _parsed(registry: str) -> tuple[str, tuple[int, ...]]:
    """Return the host and the ports that REGISTRY may be at."""
    head, colon, port = registry.rpartition(":")
    if colon and port.isdigit() and not port.startswith("]"):
        return head.strip("[]"), (int(port),)
    return registry.strip("[]"), WEB


def _loopback(host: str) -> tuple[str, ...]:
    """Return the addresses by which HOST is this host for a program that asks no proxy then."""
    if host == "localhost":
        return ("127.0.0.1", "::1")
    with contextlib.suppress(ValueError):
        return (host,) if ipaddress.ip_address(host).is_loopback else ()
    return ()
