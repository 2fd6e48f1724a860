"""What the last lines of an app's log hint at. A log can say anything: facts come first.

The texts are those of the C libraries (strerror(3), ld.so(8)), of shells, Python, Node and Go.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vcr.diagnosis.facts import Facts

MOST_LINES, MOST_CHARACTERS = 15, 500


@dataclass(frozen=True)
class Hint:
    """A line of the log, and what may help."""

    line: str
    fix: str


@dataclass(frozen=True)
class _Seen:
    """What advice depends on."""

    facts: Facts
    has_network: bool


type Advice = Callable[[re.Match[str], _Seen], str]


def find_hint(log: Sequence[str], facts: Facts, *, has_network: bool) -> Hint | None:
    """Return the last hint in LOG, None if there is none; HAS_NETWORK: or it waits for one."""
    seen = _Seen(facts, has_network)
    for line in reversed(log[-MOST_LINES:]):
        for pattern, advice in _HINTS:
            if match := pattern.search(line[:MOST_CHARACTERS]):
                return Hint(line[:MOST_CHARACTERS], advice(match, seen))
    return None


def _read_only(match: re.Match[str], seen: _Seen) -> str:
    if re.search(r"/(proc|sys)/", match.string):
        return "/proc/sys and /sys cannot be written in a container: leave it out"
    if not seen.facts.read_only:
        return "it writes to a mount that is read-only: a volume with :ro, or the source directory"
    return (
        "the app's root is read-only: `[machine] writable` in vcr.toml is false now; leave it out,"
        " or add a VOLUME for the directory that it writes to"
    )


def _library(match: re.Match[str], _seen: _Seen) -> str:
    return (
        f"the image lacks the library {match[1]}: install the package that has it, or, after a"
        " COPY --from of a program, copy its libraries, too, or link it statically"
    )


def _version(match: re.Match[str], _seen: _Seen) -> str:
    return (
        f"the image's C library is older than {match[1]}: build the program on the base that it"
        " runs on"
    )


def _device(match: re.Match[str], _seen: _Seen) -> str:
    return (
        f"the container has no {match[1] or match[2] or match[3]}: in every profile its devices are"
        " null, zero, full, random, urandom, tty, ptmx, and what is in shm, mqueue and pts"
    )


def _command(match: re.Match[str], _seen: _Seen) -> str:
    return f"the image lacks the command {match[1]}: install or COPY it, or correct PATH"


def _denied(_match: re.Match[str], seen: _Seen) -> str:
    if seen.facts.user == 0:
        return (
            "the container's root has few capabilities, and none over the machine: leave it out, or"
            " give the file other permissions"
        )
    user = seen.facts.user
    return (
        f"the app runs as user {user}: give it the file (`COPY --chown={user}`, RUN chown), or"
        " change USER in the Dockerfile"
    )


def _in_use(_match: re.Match[str], _seen: _Seen) -> str:
    return "two of its processes want the same port: start one, or give the other another port"


def _name(_match: re.Match[str], seen: _Seen) -> str:
    if not seen.has_network:
        return (
            "a prod machine has no network until it is healthy: let the app start without one, and"
            " connect when it is asked something"
        )
    return "the name is unknown here: [services] of vcr.toml, in the profile dev, have theirs"


def _full(_match: re.Match[str], _seen: _Seen) -> str:
    return (
        "what it writes is in memory: /tmp, /run, volumes and a writable root have half of"
        " `[machine] memory`; /dev/shm has 64 MiB"
    )


_DEVICE = (
    r"['\"`]?(/dev/[\w./-]{1,100})['\"`]?: (?:no such|not found|can't open|cannot open)"
    r"|no such (?:file|device)[^/]{0,40}(/dev/[\w./-]{1,100})"
    r"|can't (?:open|create) (?:')?(/dev/[\w./-]{1,100})"
)
_NAME = (
    r"temporary failure in name resolution|name or service not known|bad address '"
    r"|could not resolve host|no such host|\bENOTFOUND\b|\bEAI_AGAIN\b"
    r"|network is unreachable|\bENETUNREACH\b"
)
_HINTS: tuple[tuple[re.Pattern[str], Advice], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), advice)
    for pattern, advice in (
        (r"error while loading shared libraries: ([^\s:]{1,200}): cannot open", _library),
        (r"error loading shared library ([^\s:]{1,200}):", _library),
        (r"version [`']?(GLIBC_[0-9.]{1,20})'? not found", _version),
        (r"read-only file system|\bEROFS\b", _read_only),
        (_DEVICE, _device),
        (r"(?:^|[\s:])([\w./+-]{1,200}): (?:command |applet )?not found\b", _command),
        (r"exec: \"?([\w./+-]{1,200})\"?: executable file not found", _command),
        (r"address already in use|\bEADDRINUSE\b", _in_use),
        (r"no space left on device|\bENOSPC\b", _full),
        (_NAME, _name),
        (r"permission denied|\bEACCES\b|operation not permitted|\bEPERM\b", _denied),
    )
)
