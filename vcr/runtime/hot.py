"""One machine of a project after another, behind ports of this host that stay.

A new one is started beside the one that serves. When it is healthy new connections lead
to it, and the old one is stopped; when it never is, the old one continues.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from vcr.engines.container.machine import Additions, ContainerMachine
from vcr.engines.datagrams import DatagramRelay
from vcr.engines.machine import TCP, UDP, Forward
from vcr.engines.opened import ConnectionRelay, listener_of, relay_to
from vcr.engines.registry import load_machine
from vcr.errors import HostError
from vcr.model.project import Project
from vcr.runtime.machine import Running, start
from vcr.runtime.ports import LOOPBACK, choose_forwards, free_ports
from vcr.runtime.record import Record, Records

OLD_SECONDS = 2  # between the old one's stop signal and SIGKILL


class SupersededError(Exception):
    """What is waited for is out of date."""


@dataclass
class Hot:
    """The machine of PROJECT that serves, and how it is replaced.

    The caller holds the lock of the project's record for as long as this is used, and uses
    it from one thread that lives as long: the kernel ends machines with that thread.
    """

    project: Project
    records: Records
    wanted: Iterable[Forward]
    additions: Additions
    timeout: float | None = None
    profile: str = ""
    current: Running | None = None
    _stable: tuple[Forward, ...] = ()
    # By port of the guest and its protocol.
    _relays: dict[str, ConnectionRelay | DatagramRelay] = field(default_factory=dict)
    _starting: Running | None = None

    @property
    def record(self) -> Record:
        """Return the project's record: the machine that serves, at the ports that stay."""
        if self.current is None:
            raise LookupError("nothing was started")
        record = self.current.record
        return replace(record, key=self.project.key, place=record.where, forwards=self._stable)

    @property
    def is_running(self) -> bool:
        """Return whether the machine that serves is still there."""
        return self.current is not None and self.current.record.is_running

    @property
    def shows_source(self) -> bool:
        """Return whether the app sees the source directory itself."""
        if self.current is None:
            return False
        machine = load_machine(Path(self.current.record.vm))
        return isinstance(machine, ContainerMachine) and bool(machine.live_mount)

    def replace(self, vm: Path, is_stale: Callable[[], bool] = lambda: False) -> None:
        """Start what VM describes, wait for its health, and let it serve.

        Raises UnhealthyError, HostError, and SupersededError as soon as IS_STALE; then
        what served before still does.
        """
        machine = load_machine(vm)
        self._open_ports(
            free_ports(machine.ports, machine.health), free_ports(machine.udp_ports, None)
        )

        def check() -> None:
            if is_stale():
                raise SupersededError

        forwards = [replace(each, address=LOOPBACK, host=0) for each in self._stable]
        try:
            self._starting = start(
                self.project,
                vm,
                forwards,
                self.records,
                die_with_parent=True,
                additions=self.additions,
                place=self._free_place(),
                profile=self.profile,
            )
            new = self._starting.wait_until_healthy(self.timeout, check)
        except BaseException:
            self._drop_starting()
            raise
        old, self.current, self._starting = self.current, new, None
        for forward in new.record.forwards:
            self._relays[forward.target].find = _address_of(forward)
        self.records.save(self.record)
        # Its own record, under the key of its place, has done its service.
        (self.records.directory(new.record.key) / "machine.json").unlink(missing_ok=True)
        if old is not None:
            old.stop(OLD_SECONDS)

    def stop(self, grace: int) -> None:
        """Stop all there is."""
        for relay in self._relays.values():
            relay.close()
        self._drop_starting()
        if self.current is not None:
            record = self.record
            self.current.stop(grace)
            self.records.forget(record)

    def _drop_starting(self) -> None:
        if self._starting is not None:
            self._starting.stop(grace=0)
            self._starting = None

    def _free_place(self) -> str:
        taken = self.current.record.where if self.current else ""
        return next(place for place in self.records.places(self.project.key) if place != taken)

    def _open_ports(self, tcp: tuple[int, ...], udp: tuple[int, ...]) -> None:
        """Listen for each port that the guest has and that is not listened for yet."""
        old = {(forward.guest, forward.protocol) for forward in self._stable}
        wanted = [each for each in self.wanted if (each.guest, each.protocol) not in old]
        missing = tuple(port for port in tcp if (port, TCP) not in old)
        missing_udp = tuple(port for port in udp if (port, UDP) not in old)
        for forward in choose_forwards(missing, wanted, missing_udp):
            try:
                listener = listener_of(forward)
            except OSError as error:
                what = f"port {forward.host} is not free"
                raise HostError(what, why=str(error.strerror)) from None
            self._relays[forward.target] = relay_to(listener, forward, _refuse)
            self._stable = (*self._stable, forward)


def _address_of(forward: Forward) -> Callable[[], tuple[str, int]]:
    return lambda: (forward.address, forward.host)


def _refuse() -> tuple[str, int]:
    raise ConnectionRefusedError
