"""Signals as STOPSIGNAL takes them: by number, or by name with or without SIG, in any case.

The table is that of Linux, signal(7); real-time signals as github.com/moby/sys/signal has them.
"""

import re

NAMES = frozenset(
    {"ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT"}
    | {"KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "RTMAX", "RTMIN", "SEGV", "STKFLT", "STOP"}
    | {"SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH"}
    | {"XCPU", "XFSZ"}
)
_REAL_TIME = re.compile(r"RTMIN\+([0-9]{1,2})|RTMAX-([0-9]{1,2})")
BEHIND_RTMIN, BEFORE_RTMAX = 15, 14  # RTMIN+15 is the last that is called by RTMIN
LARGEST = 64


def is_signal(text: str) -> bool:
    """Return whether TEXT is a signal: SIGTERM, term, 15, SIGRTMIN+3."""
    if text.isascii() and text.isdecimal():
        return 0 < int(text[:9]) <= LARGEST  # BuildKit takes any; a kernel has 64
    name = text.upper().removeprefix("SIG")
    match = _REAL_TIME.fullmatch(name)
    if match is None:
        return name in NAMES
    above, below = match.groups()
    return 0 < int(above or below) <= (BEHIND_RTMIN if above else BEFORE_RTMAX)
