"""Durations in Go's syntax ("1m30s", "500ms"), as Dockerfiles write them.

https://pkg.go.dev/time#ParseDuration
"""

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Return the seconds TEXT stands for; raises ValueError with a reason."""
    if text == "0":
        return 0.0
    if not text or "".join(m.group(0) for m in _TERM.finditer(text)) != text:
        raise ValueError(f"{text!r} is not a duration such as 5s, 1m30s or 500ms")
    return sum(float(number) * _UNITS[unit] for number, unit in _TERM.findall(text))
