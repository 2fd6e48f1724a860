"""Steps that are carried out with a network, several at once, each in a thread.

As many as this host has CPUs and memory for. When one fails, or vcr is to end, the machines of
the others are ended.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from vcr.errors import VcrError
from vcr.limits import available_memory
from vcr.lock.recorder import Recorder
from vcr.progress import Step

PID = "pid"  # file in the directory of a machine: QEMU's process ID
BESIDE_MIB = 512  # that QEMU and what it reads take beside the machine's memory
POLL_SECONDS = 0.05


def at_once(machine_mib: int) -> int:
    """Return how many machines of MACHINE_MIB memory this host runs at once: at least one."""
    fits = available_memory() // (machine_mib + BESIDE_MIB << 20)
    return max(1, min(len(os.sched_getaffinity(0)), fits))


@dataclass
class Leash:
    """Ends the machine of one recording; DIRECTORY is the machine's, once there is one."""

    directory: Path | None = None
    is_stopped: bool = False

    def hold(self, directory: Path) -> list[str]:
        """Return what QEMU is told, to be ended; raises VcrError if it is not to start at all."""
        if self.is_stopped:
            raise VcrError("another step failed")
        self.directory = directory
        return ["-pidfile", str(directory / PID)]

    def pull(self) -> None:
        """End the machine, if it runs."""
        self.is_stopped = True
        if self.directory is None:
            return
        with suppress(OSError, ValueError):
            pid = int((self.directory / PID).read_text())
            if os.fsencode(self.directory) in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


@dataclass
class Recordings:
    """The recordings that are under way, by the layer's id; at most MOST."""

    most: int
    parts: dict[str, Step] = field(default_factory=dict)  # that show them
    _leashes: dict[str, Leash] = field(default_factory=dict)
    _futures: dict[Future[Recorder], str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Begin with none."""
        self._pool = ThreadPoolExecutor(self.most, "recording")
        return self

    def __exit__(self, *_: object) -> None:
        """End what is still under way."""
        while not all(future.done() for future in self._futures):
            for leash in self._leashes.values():
                leash.pull()
            time.sleep(POLL_SECONDS)
        self._pool.shutdown()

    @property
    def room(self) -> int:
        """Return how many more may begin."""
        return self.most - len(self._futures)

    def start(self, ident: str, part: Step, work: Callable[[Leash], Recorder]) -> None:
        """Record the layer IDENT by WORK, in a thread; PART shows it."""
        leash = self._leashes[ident] = Leash()
        self.parts[ident] = part

        def record() -> Recorder:
            try:
                return work(leash)
            except BaseException:
                part.is_failing = not leash.is_stopped
                raise

        self._futures[self._pool.submit(record)] = ident

    def ended(self, *, is_waiting: bool) -> Iterator[tuple[str, Recorder]]:
        """Yield what has ended by now, or, IS_WAITING, the next to end; raises what one raised."""
        ended = [future for future in self._futures if future.done()]
        if is_waiting and not ended and self._futures:
            ended = [*wait(self._futures, return_when=FIRST_COMPLETED).done]
        for future in ended:
            ident = self._futures.pop(future)
            del self._leashes[ident], self.parts[ident]
            yield ident, future.result()
