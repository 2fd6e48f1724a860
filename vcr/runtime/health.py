"""When is a machine healthy: probes from outside.

The clock starts when the guest's agent answers, which is when the app is started;
patience.py says when it is asked and for how long. An app without a health check has more
time while it works: nobody has said how long it may take, and an emulated CPU is slow.
"""

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vcr.agent.client import Agent, NoAnswerError
from vcr.agent.deadline import KILLED, http_status
from vcr.diagnosis.facts import MAX_LISTENERS, Facts
from vcr.diagnosis.words import TOO_SLOW, port_of
from vcr.engines.machine import TCP, Forward
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe
from vcr.runtime.patience import (
    NO_CHECK_ROUNDS,
    NO_CHECK_SECONDS,
    WORKS,
    Clock,
    Outcome,
    Patience,
    probe_until_healthy,
)
from vcr.runtime.ports import ANY

BOOT_SECONDS = 180.0  # from power-on to the agent, on a slow and busy host
FACTS_SECONDS = 60.0  # for a guest to look: it may be out of memory, or emulated in an enclave
TOLD = 200  # characters of what a guest says, that are shown


@dataclass(frozen=True)
class Prober:
    """Asks one machine."""

    check: HealthCheck | None
    forwards: Sequence[Forward]
    agent: Agent

    def probe(self, timeout: float | None = None) -> Outcome:
        """Ask once; TIMEOUT, in seconds, replaces the check's."""
        if self.check is None:
            return self._is_open()
        limit = timeout or self.check.timeout
        match self.check.probe:
            case HttpProbe() as probe:
                return self._http(probe, limit)
            case CommandProbe():
                return self._command(limit)

    def facts(self) -> Facts | None:
        """Return what can be seen of the app, None where nobody can look."""
        try:
            return self.agent.facts(FACTS_SECONDS)
        except NoAnswerError:
            return None

    def cpu_ms(self) -> int:
        """Return the CPU time that the app has used until now, 0 where nobody can look."""
        facts = self.facts()
        return 0 if facts is None else facts.cpu_ms

    @property
    def port(self) -> int:
        """Return the port of the app that is asked, 0 for none."""
        return port_of(self.check, [forward.guest for forward in self.connected])

    @property
    def connected(self) -> list[Forward]:
        """Return the ports of TCP, which can be asked; datagrams need not be answered."""
        return [forward for forward in self.forwards if forward.protocol == TCP]

    def _http(self, probe: HttpProbe, timeout: float) -> Outcome:
        forward = next((f for f in self.connected if f.guest == probe.port), None)
        if forward is None:
            return Outcome(healthy=False, detail=f"port {probe.port} is not forwarded")
        address = ANY.get(forward.address, forward.address)
        try:
            status = http_status(address, forward.host, probe.path, timeout)
        except (OSError, ValueError) as error:
            return Outcome(healthy=False, detail=f"GET {probe.path}: {error}")
        return Outcome(healthy=200 <= status < 400, detail=f"GET {probe.path}: HTTP {status}")

    def _command(self, timeout: float) -> Outcome:
        asked = time.monotonic()
        try:
            code, output = self.agent.health(timeout)
        except NoAnswerError as error:
            return Outcome(healthy=False, detail=f"the guest does not answer: {error}")
        said = f": {output.strip()}" if output.strip() else ""
        detail = f"exit code {code}"
        if code == KILLED and time.monotonic() - asked >= timeout:
            detail = f"the health command {TOO_SLOW}, {timeout:g} s"
        return Outcome(healthy=code == 0, detail=detail + said)

    def _is_open(self) -> Outcome:
        """Without a health check: something listens, or at least the app runs."""
        if not self.connected:
            try:
                state = self.agent.ask("state", 5.0)
            except NoAnswerError as error:
                return Outcome(healthy=False, detail=str(error))
            return Outcome(healthy=state == "running", detail=state[:TOLD])
        forward = self.connected[0]
        # A port accepts in any case; if nothing listens in the guest, it is closed soon.
        try:
            with socket.create_connection((forward.address, forward.host), 5.0) as connection:
                connection.settimeout(1.0)
                closed = connection.recv(1) == b""
        except TimeoutError:
            closed = not self._may_listen(forward.guest)
            return Outcome(healthy=not closed, detail="closed" if closed else "the port is open")
        except OSError as error:
            return Outcome(healthy=False, detail=str(error))
        return Outcome(healthy=not closed, detail="the port answers" if not closed else "closed")

    def _may_listen(self, port: int) -> bool:
        """Return whether the app listens on PORT for others, as far as can be seen."""
        facts = self.facts()
        if facts is None or len(facts.listens) >= MAX_LISTENERS:
            return True
        return any(each.port == port and not each.is_loopback for each in facts.listens)


def _saying(prober: Prober, say: Callable[[str], None]) -> Callable[[], Outcome]:
    """Return the probe of PROBER, which says what comes of it, unless it says the same again."""
    said = ""

    def probe() -> Outcome:
        nonlocal said
        outcome = prober.probe()
        if outcome.detail != said:
            said = outcome.detail
            say(f"health: {said}")
        return outcome

    return probe


def wait_until_healthy(
    prober: Prober,
    check_alive: Callable[[], None],
    timeout: float | None,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Probe until healthy, or until that is useless; return the last outcome.

    CHECK_ALIVE is called between probes and raises to give up at once. TIMEOUT, in
    seconds from now, replaces the patience that the health check gives. SAY gets what is
    waited for, and what each probe said that was not what the one before said.
    """
    say("booting")
    deadline = time.monotonic() + (timeout or BOOT_SECONDS)
    while not prober.agent.is_up():
        check_alive()
        if time.monotonic() > deadline:
            return Outcome(healthy=False, detail="the guest did not finish booting")
        time.sleep(0.3)
    left = max(deadline - time.monotonic(), 0.0) if timeout is not None else None
    patience, start = Patience(prober.check, left), time.monotonic()
    say("waiting for its health")
    rounds = NO_CHECK_ROUNDS if prober.check is None and timeout is None else 1
    used = prober.cpu_ms() if rounds > 1 else 0
    for number in range(1, rounds + 1):
        outcome = probe_until_healthy(_saying(prober, say), patience, check_alive, Clock())
        if outcome.healthy or number == rounds:
            break
        before, used = used, prober.cpu_ms()
        if used - before < WORKS * NO_CHECK_SECONDS * 1000:
            break
    return replace(outcome, seconds=time.monotonic() - start)
