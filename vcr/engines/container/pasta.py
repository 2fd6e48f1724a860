"""The part of a container that stays outside its namespaces: a process forked before them.

It writes the map of a user namespace, which takes the rights of the one around, and then
becomes pasta, the way out of the container's network. pasta copies nothing of this host's
network but its reach: no port is opened either way, and no address is this host's loopback.
https://passt.top, passt(1)
"""

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from vcr.diagnosis.sockets import TABLES, UDP_TABLES, listeners
from vcr.engines.addresses import DNS_ADDRESS
from vcr.engines.machine import TCP, UDP
from vcr.engines.parent import die_with_parent

# pasta opens no port of this host, and none of this host's to the container.
CLOSED = ("-t", "none", "-u", "none", "-T", "none", "-U", "none")
# All that images have. crun takes a map of all 2^32 - 1 for the host's, and then makes devices.
MAX_IDS = 1 << 31
TABLES_OF = {TCP: TABLES, UDP: UDP_TABLES}
ROUTE_SECONDS = 1.0
POLL_SECONDS = 0.005


class Outside:
    """The forked process, seen from the one that enters the namespaces."""

    def __init__(self, pasta: Path, messages: Path) -> None:
        """Fork it; MESSAGES is the file for what pasta says."""
        self._socket, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._socket.close()
            die_with_parent()
            with suppress(OSError, ValueError):
                _serve(theirs, pasta, messages)
            os._exit(1)
        theirs.close()

    def write_maps(self) -> None:
        """Let the user namespace this process has just made have users; raises OSError."""
        self._socket.sendall(b"maps")
        number = int(self._socket.recv(16) or b"1")
        if number:
            raise OSError(number, os.strerror(number))

    def connect_network(self, pid: int) -> None:
        """Let the network of process PID reach what this host reaches."""
        with suppress(OSError):
            self._socket.sendall(str(pid).encode())
        self._socket.close()

    def end(self) -> None:
        """End it, and wait until it has."""
        with suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def id_map(path: Path, single: int | None) -> str:
    """Return the map of users or groups of a new namespace.

    Who is not root is SINGLE and becomes root; root keeps all that its own map, at PATH,
    has. user_namespaces(7), "Defining user and group ID mappings"
    """
    if single is not None:
        return f"0 {single} 1"
    rows = (map(int, line.split()) for line in path.read_text().splitlines())
    return "\n".join(f"{inside} {inside} {min(count, MAX_IDS)}" for inside, _, count in rows)


def pasta_argv(pasta: Path, pid: int, *, root: bool) -> list[str]:
    """Return the argv that joins the network of process PID to this host's."""
    return [
        str(pasta),
        *("--config-net", "--ipv4-only", "--quiet", "--foreground"),
        *CLOSED,
        *("--map-host-loopback", "none", "--map-guest-addr", "none"),
        *("--dns-forward", DNS_ADDRESS),
        # It would become nobody, who may not enter the namespaces; it gives its rights up.
        *(("--runas", "0") if root else ()),
        str(pid),
    ]


def has_tun() -> bool:
    """Return whether this user may make the device that pasta brings into a network."""
    return os.access("/dev/net/tun", os.R_OK | os.W_OK)


def wait_for_route() -> bool:
    """Wait, for a second at most, until this process' network has a default route."""
    deadline = time.monotonic() + ROUTE_SECONDS
    while time.monotonic() < deadline:
        rows = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
        if any(row[1] == "00000000" for row in rows):
            return True
        time.sleep(POLL_SECONDS)
    return False


def way_to(port: int, protocol: str = TCP) -> str:
    """Return the address to reach PORT of this process' network at, as from outside.

    Raises ConnectionRefusedError where nothing listens there for others.

    What listens on the loopback alone is not reached, as in Docker and in a machine.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((DNS_ADDRESS, 53))  # sends nothing: its route has our address
            address = str(asked.getsockname()[0])
        except OSError:  # there is no way out, so nothing but a loopback
            address = "127.0.0.1"
    if address == "127.0.0.1" and not any(
        each.port == port and not each.is_loopback for each in listeners(TABLES_OF[protocol])
    ):
        raise ConnectionRefusedError(f"nothing listens on port {port} for others")
    return address


def _serve(asked: socket.socket, pasta: Path, messages: Path) -> None:
    root = os.geteuid() == 0
    word = asked.recv(16)
    if word == b"maps":
        asked.sendall(str(_write_maps(os.getppid(), root=root)).encode())
        word = asked.recv(16)
    if word:
        output = os.open(messages, os.O_WRONLY | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execv(pasta, pasta_argv(pasta, int(word), root=root))  # noqa: S606 -- no shell is meant


def _write_maps(pid: int, *, root: bool) -> int:
    """Write the maps of process PID; return an error number, 0 for none."""
    process = Path("/proc", str(pid))
    try:
        if not root:
            (process / "setgroups").write_text("deny")
        for kind, single in (("uid", os.geteuid()), ("gid", os.getegid())):
            text = id_map(Path(f"/proc/self/{kind}_map"), None if root else single)
            (process / f"{kind}_map").write_text(text)
    except OSError as error:
        return error.errno or 1
    return 0
