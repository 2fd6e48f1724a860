"""Looks at an app in a container of this host: what guest/agent/facts.go does in a machine.

To be used in the container's namespaces of processes and of the network.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.diagnosis.facts import Facts
from vcr.diagnosis.program import Command, own_architecture, why_not
from vcr.diagnosis.root import files_below
from vcr.diagnosis.sockets import listeners

SETTLED_SECONDS = 1.0  # that an app has to run, which nothing else is known of
PF_FORKNOEXEC = 0x40  # include/linux/sched.h: it has not become another program
# What is mounted everywhere, with no programs in it.
SYSTEM = ("/proc", "/dev", "/sys", "/run/vcr", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")


@dataclass(frozen=True)
class Watched:
    """A container of crun."""

    root: Path
    bundle: Path
    status: Path  # file that crun keeps while it is there
    oom_before: int  # what `oom_kills` said before its start
    rootless: bool

    @classmethod
    def of(cls, scratch: Path, name: str) -> "Watched":
        """Return the container NAME, before its start, with all that it is in SCRATCH."""
        return cls(
            root=scratch / "root",
            bundle=scratch / "bundle",
            status=scratch / "crun" / name / "status",
            oom_before=oom_kills(),
            # Of one who is not root, the one user there is becomes the app's.
            rootless=Path("/proc/self/uid_map").read_text().split()[2:] == ["1"],
        )

    def facts(self, code: int | None) -> Facts:
        """Return what can be seen; CODE is the app's exit code, None while it runs."""
        config = json.loads((self.bundle / "config.json").read_bytes())
        user = config["process"]["user"]["uid"]
        program = None
        if code:
            with suppress(OSError), files_below(self.root) as files:
                program = why_not(files, self._command(config, code), own_architecture())
        return Facts(
            exit=code,
            program=program,
            oom=max(oom_kills() - self.oom_before, 0),
            read_only=bool(config["root"]["readonly"]),
            user=user,
            listens=listeners(),
            cpu_ms=cpu_ms(),
        )

    def state(self) -> str:
        """Return `starting` until the app has run for a moment, then `running`."""
        with suppress(OSError, ValueError, KeyError, IndexError):
            pid = json.loads(self.status.read_bytes())["pid"]
            if is_settled(Path(f"/proc/{int(pid)}/stat").read_text()):
                return "running"
        return "starting"

    def _command(self, config: dict[str, Any], code: int) -> Command:
        process = config["process"]
        covered = [row["destination"] for row in config["mounts"]]
        return Command(
            argv=process["args"],
            env=process["env"],
            cwd=process["cwd"],
            user=None if self.rootless else process["user"]["uid"],
            groups=(process["user"]["gid"], *process["user"]["additionalGids"]),
            covered=[path for path in covered if path not in SYSTEM],
            code=code,
        )


def is_settled(status: str) -> bool:
    """Return whether a process with this /proc/PID/stat is a program that has run for a moment."""
    fields = status.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"} or int(fields[6]) & PF_FORKNOEXEC:
        return False
    now = float(Path("/proc/uptime").read_text().split()[0])
    return now - int(fields[19]) / os.sysconf("SC_CLK_TCK") >= SETTLED_SECONDS


def oom_kills() -> int:
    """Return how many processes this kernel has ended for want of memory; 0 if it does not say."""
    with suppress(OSError, ValueError, StopIteration):
        rows = Path("/proc/vmstat").read_text().splitlines()
        return int(next(row.split()[1] for row in rows if row.startswith("oom_kill ")))
    return 0


def cpu_ms() -> int:
    """Return the CPU time that the other processes here have used: proc_pid_stat(5)."""
    return _ms(ticks for pid, (_, ticks) in _processes().items() if pid != os.getpid())


def cpu_ms_below(pid: int) -> int:
    """Return the CPU time that the process PID and those that it has started have used."""
    processes = _processes()
    found: set[int] = set()
    added = {pid}
    while added:
        found |= added
        added = {each for each, (parent, _) in processes.items() if parent in found} - found
    return _ms(ticks for each, (_, ticks) in processes.items() if each in found)


def _processes() -> dict[int, tuple[int, int]]:
    """Return of each process its parent and the ticks that it has used."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, ValueError, IndexError):  # it has ended
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    return found


def _ms(ticks: Iterable[int]) -> int:
    return sum(ticks) * 1000 // os.sysconf("SC_CLK_TCK")
