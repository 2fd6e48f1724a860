"""What was seen of an app that died, or that is not healthy: kept apart from what it printed.

guest/agent/facts.go looks in a machine, look.py beside a container; both write the same JSON
object, as one line. Those of an app that has ended are on the console, after MARK.
"""

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from vcr.foreign import load_json

MARK = "vcr: facts "
MAX_FACTS = 16 << 10  # bytes of a line
MAX_NAME = 300  # characters of a path or a name
MAX_LISTENERS, MAX_KILLED = 64, 8
MAX_NUMBER = 1 << 53


@dataclass(frozen=True)
class Program:
    """Why the kernel, or its loader, cannot start a program: what program.py finds."""

    path: str  # as the command, or the file before it, names it
    # missing: there is no such file; directory: it is no regular file; mode: nobody may execute it;
    # denied: its user may not; format: neither ELF nor a script; machine: for another architecture;
    # interpreter: what a script names after #! is missing; loader: what an ELF file names is;
    # library: its loader does not find one that PATH, the program or a library, is linked with
    problem: str
    name: str = ""  # of what is missing, or the architecture that it is for: MACHINE:CLASS of ELF
    here: str = ""  # the architecture of this machine, likewise; of a library, the loader


@dataclass(frozen=True)
class Listener:
    """A TCP socket that waits for connections."""

    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Return whether only the container itself reaches it."""
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def is_ipv6(self) -> bool:
        """Return whether its address is one of IPv6."""
        return ":" in self.address

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.is_ipv6 else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Facts:
    """What the kernel and the container's runtime say."""

    exit: int | None = None  # the app's exit code, 128 + N after the signal N; None while it runs
    program: Program | None = None  # why its command cannot be started
    oom: int = 0  # processes that the kernel ended for want of memory, since the app's start
    killed: tuple[str, ...] = ()  # names of some of them
    memory_mib: int = 0  # 0: not known
    available_mib: int = 0
    read_only: bool = False  # the app's root
    user: int = 0  # its user ID
    listens: tuple[Listener, ...] = ()
    cpu_ms: int = 0  # that all its processes have used

    def to_line(self) -> str:
        """Return it as JSON on one line."""
        data = asdict(self) | {"listens": [[each.address, each.port] for each in self.listens]}
        return json.dumps(data, separators=(",", ":"))


def read_facts(line: str) -> Facts:
    """Read what `to_line` or guest/agent wrote; raises ValueError for anything else."""
    if len(line) > MAX_FACTS:
        raise ValueError("too long for facts about an app")
    data = load_json(line)
    if not isinstance(data, dict):
        raise ValueError("no facts about an app")  # noqa: TRY004 -- of bytes, not of a caller
    code = data.get("exit")
    return Facts(
        exit=None if code is None else _number(code, 255),
        program=_program(data.get("program")),
        oom=_number(data.get("oom", 0)),
        killed=tuple(map(_name, _rows(data.get("killed"), MAX_KILLED))),
        memory_mib=_number(data.get("memory_mib", 0)),
        available_mib=_number(data.get("available_mib", 0)),
        read_only=data.get("read_only") is True,
        user=_number(data.get("user", 0)),
        listens=tuple(map(_listener, _rows(data.get("listens"), MAX_LISTENERS))),
        cpu_ms=_number(data.get("cpu_ms", 0)),
    )


def last_facts(lines: Iterable[str]) -> Facts | None:
    """Return the last facts among the LINES of a console, None if there are none."""
    found = [line for line in lines if line.startswith(MARK)]
    try:
        return read_facts(found[-1].removeprefix(MARK)) if found else None
    except ValueError:
        return None


def without_facts(lines: Iterable[str]) -> list[str]:
    """Return the LINES of a console that are for people."""
    return [line for line in lines if not line.startswith(MARK)]


def _program(data: Any) -> Program | None:
    if data is None:
        return None
    if not isinstance(data, dict):
        raise ValueError("no facts about a program")  # noqa: TRY004
    return Program(*(_name(data.get(key, "")) for key in ("path", "problem", "name", "here")))


def _listener(row: Any) -> Listener:
    if not isinstance(row, list) or len(row) != 2:
        raise ValueError("no address and port")
    address = ipaddress.ip_address(_name(row[0]))
    if "%" in str(address):  # a scope of IPv6, which may be any text; the kernel tells none
        raise ValueError("no address and port")
    return Listener(str(address), _number(row[1], 65535))


def _rows(data: Any, most: int) -> list[Any]:
    if data is None:
        return []
    if not isinstance(data, list) or len(data) > most:
        raise ValueError("no list, or a long one")
    return data


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise ValueError("no name, or a long one")
    return value


def _number(value: Any, most: int = MAX_NUMBER) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"no number from 0 to {most}")
    return value
