"""Words for why an app does not start: one rule for every profile.

What the kernel and the container's runtime say decides; what the app printed is a hint, and
shown as its words. Names of others are escaped here, since they stand in sentences.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from vcr.diagnosis.facts import Facts, Listener
from vcr.diagnosis.hints import find_hint
from vcr.diagnosis.own_fault import NOT_EXECUTABLE, NOT_FOUND, is_own_fault
from vcr.diagnosis.program_words import words_of
from vcr.escape import visible
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe

LOGS = "`vcr logs` shows everything that it printed, `vcr logs --system` the kernel's messages"
SCARCE = 16  # memory is, when less than this part of it is available
TOO_SLOW = "did not end within its timeout"  # of a health command: vcr.runtime.health
FROM_HEALTH = re.compile(r"\bexit(?:s with| code) (?P<code>[0-9]{1,3})\b")


@dataclass(frozen=True)
class Situation:
    """What vcr knows about an app and its settings."""

    port: int = 0  # that it is asked at, or that has to be open; 0 for none
    check: HealthCheck | None = None
    seconds: float = 0.0  # that it had
    detail: str = ""  # of the last probe
    place: str = ""  # of the health check: a line of the Dockerfile, or a section of vcr.toml
    log: Sequence[str] = ()  # the last lines that it printed
    memory_mib: int = 0  # `[machine] memory`, 0: not known, or there is no machine
    has_network: bool = True  # or gets one only when it is healthy
    who: str = "the app"
    logs: str = LOGS  # how to see more of it
    more_time: str = ""  # how to give it more, where that is not a health check's


def port_of(check: HealthCheck | None, ports: Sequence[int]) -> int:
    """Return which of an app's PORTS is asked by CHECK, or has to be open; 0 for none."""
    if check is not None and isinstance(check.probe, HttpProbe):
        return check.probe.port
    return ports[0] if ports else 0


@dataclass(frozen=True)
class Cause:
    """Why it does not start, and what helps."""

    why: str
    fix: str


def cause_of(facts: Facts, now: Situation) -> Cause:
    """Return the cause that FACTS show, in the situation NOW."""
    if facts.exit is None:
        return _of_running(facts, now)
    if facts.program is not None:
        return Cause(*words_of(facts.program, facts.user))
    return _of_memory(facts, now) or _of_exit(facts.exit, facts, now)


def _of_memory(facts: Facts, now: Situation) -> Cause | None:
    if not facts.oom:
        return None
    if facts.memory_mib:  # of a machine, with nothing else in it
        who = ", ".join(visible(name) for name in dict.fromkeys(facts.killed)) or "a process"
        return Cause(
            f"the machine ran out of memory, and the kernel ended {who}",
            _more_memory(now.memory_mib),
        )
    if facts.exit != 128 + signal.SIGKILL:
        return None  # this host has other processes that may run out of it
    return Cause(
        "it was killed, when this host, or a container around vcr, ran out of memory",
        "give it more memory, or let the app take less; `[machine] memory` is for machines only",
    )


def _more_memory(memory_mib: int) -> str:
    if not memory_mib:
        return "give it more: `[machine] memory` in vcr.toml"
    return (
        f"give it more: `[machine] memory` in vcr.toml is {memory_mib} MiB now;"
        f' for instance memory = "{2 * memory_mib} MiB"'
    )


def _of_exit(code: int, facts: Facts, now: Situation) -> Cause:
    # What ended well can have said much: only its last words count.
    log = now.log if code else now.log[-1:]
    hint = find_hint(log, facts, has_network=now.has_network)
    how, fix = _ending(code, now.logs)
    if hint is None or _is_crash(code):
        last = f"; the last line of its log: {visible(now.log[-1])}" if now.log and code else ""
        return Cause(f"{now.who} ended {how}{last}", fix)
    return Cause(f"{now.who} ended {how}; its log says: {visible(hint.line)}", visible(hint.fix))


def _ending(code: int, logs: str) -> tuple[str, str]:
    if code == 0:
        return "by itself, with exit code 0", (
            "CMD has to stay in the foreground: no `&`, no daemon"
            " (nginx: `daemon off;`, apache: `-DFOREGROUND`)"
        )
    if _is_signal(code):
        name = signal.Signals(code - 128).name
        fixes = {
            "SIGILL": "its code has instructions that this CPU lacks: compile it for an older one",
            "SIGSEGV": "it is a fault of the program; run it in another profile to compare",
            "SIGSYS": "it made a system call that is not allowed",
        }
        return f"by the signal {name} (exit code {code})", fixes.get(name, logs)
    if code == NOT_FOUND:
        return f"with exit code {code}: a command or a library is missing", logs
    if code == NOT_EXECUTABLE:
        return f"with exit code {code}: a command cannot be executed", logs
    return f"with exit code {code}", logs


def _is_signal(code: int) -> bool:
    return code > 128 and code - 128 in {int(each) for each in signal.Signals}


def _is_crash(code: int) -> bool:
    return _is_signal(code) and signal.Signals(code - 128).name in {"SIGSEGV", "SIGILL", "SIGBUS"}


def _of_running(facts: Facts, now: Situation) -> Cause:
    """Return why an app that runs is not healthy."""
    if cause := _of_memory(facts, now):
        return cause
    is_scarce = 0 < facts.available_mib * SCARCE < facts.memory_mib
    if is_scarce:
        return Cause(
            f"the machine has almost no memory left: {facts.available_mib} of"
            f" {facts.memory_mib} MiB, so the app stands still",
            _more_memory(now.memory_mib),
        )
    if now.port and not isinstance(now.check and now.check.probe, CommandProbe):
        return _of_port(facts, now)
    return _of_check(now)


def _of_port(facts: Facts, now: Situation) -> Cause:
    """Return why nothing can be asked at a port."""
    port, after = now.port, f" after {now.seconds:.0f} s" if now.seconds else ""
    here = [each for each in facts.listens if each.port == port]
    if not here:
        return _of_other_ports(facts, now, after)
    if all(each.is_loopback for each in here):
        return Cause(
            f"{now.who} listens on port {port}, but only at {_list(here)}, the loopback of its"
            " container: nothing from outside reaches it",
            "let it listen at 0.0.0.0: an option or a variable such as HOST or BIND",
        )
    if now.check is None and all(each.is_ipv6 for each in here):
        return Cause(
            f"{now.who} listens on port {port} at {_list(here)}, for IPv6 alone, and is asked by"
            " IPv4",
            "let it listen at 0.0.0.0, or at :: without IPV6_V6ONLY",
        )
    return _of_check(now)


def _of_other_ports(facts: Facts, now: Situation, after: str) -> Cause:
    port = now.port
    if facts.listens:
        others = sorted({each.port for each in facts.listens})
        named = ", ".join(map(str, others))
        return Cause(
            f"nothing listens on port {port}{after}; {now.who} listens at {_list(facts.listens)}",
            f"let it listen on port {port} (PORT={port} is a usual variable), or name its own:"
            f" `EXPOSE {others[0]}`, or `[machine] ports = [{named}]` in vcr.toml",
        )
    hint = find_hint(now.log, facts, has_network=now.has_network)
    said = f"; its log says: {visible(hint.line)}" if hint else ""
    more = _more_time(now)
    return Cause(
        f"nothing listens on port {port}{after}; {now.who} still runs{said}",
        visible(hint.fix) if hint else f"if port {port} is the right one, {more}",
    )


def _of_check(now: Situation) -> Cause:
    """Return why a health check fails, where the app runs."""
    fails = f"has failed for {now.seconds:.0f} s" if now.seconds else "fails"
    failed = FROM_HEALTH.search(now.detail)
    code = int(failed["code"]) if failed else 0
    is_command = now.check is not None and isinstance(now.check.probe, CommandProbe)
    if is_command and is_own_fault(code, FROM_HEALTH.sub("", now.detail).removeprefix(": ")):
        at = f", at {visible(now.place)}," if now.place else ""
        return Cause(
            f"the health check itself fails{at} whatever the app does: {visible(now.detail)}",
            "correct its command, which runs in the app's container with what the image has; or use"
            " `[health] http` in vcr.toml",
        )
    if now.check is not None and TOO_SLOW in now.detail:
        return Cause(
            visible(now.detail),
            f"give it more: `[health] timeout` in vcr.toml, or --timeout of HEALTHCHECK, is"
            f" {now.check.timeout:g} s now",
        )
    return Cause(
        f"{now.who} runs, but its health check {fails}: {visible(now.detail) or 'no answer'}",
        _more_time(now),
    )


def _more_time(now: Situation) -> str:
    if now.more_time:
        return f"give it more time: {now.more_time}"
    if now.check is None:
        return (
            "give it more time: `--timeout SECONDS`, or a HEALTHCHECK or [health] with a start"
            " period"
        )
    check = now.check
    return (
        f"give it more time: start_period = {check.start_period:g} s, interval ="
        f" {check.interval:g} s and retries = {check.retries} now; set `[health] start_period` in"
        " vcr.toml, or --start-period of HEALTHCHECK"
    )


def _list(listeners: Sequence[Listener]) -> str:
    names = [str(each) for each in listeners[:5]]
    return ", ".join(names) + (" and more" if len(listeners) > len(names) else "")
