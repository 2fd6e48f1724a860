"""Durations in Go's syntax ("1m30s", "500ms"), as Dockerfiles write them.

https://pkg.go.dev/time#ParseDuration
"""

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_WHOLE = re.compile(f"(?:{_TERM.pattern})+", re.ASCII)
MAX_LENGTH = 100  # characters
LONGEST = 10 * 365 * 24 * 3600.0  # seconds; Go counts nanoseconds in 63 bits, 292 years


def parse_duration(text: str) -> float:
    """Return the seconds TEXT stands for; raises ValueError with a reason."""
    if text == "0":
        return 0.0
    if len(text) > MAX_LENGTH or not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:MAX_LENGTH]!r} is not a duration such as 5s, 1m30s or 500ms")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _TERM.findall(text))
    if seconds > LONGEST:
        raise ValueError(f"{text} is longer than a duration can be")
    return seconds
