"""Signals as STOPSIGNAL takes them: by number, or by name with or without SIG, in any case.

Names are those of Linux, signal(7), which Python has, too; real-time signals are as
github.com/moby/sys/signal has them.
"""

import re
import signal

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
        return f"SIG{name}" in signal.Signals.__members__
    above, below = match.groups()
    return 0 < int(above or below) <= (BEHIND_RTMIN if above else BEFORE_RTMAX)
