"""The config of an image that somebody else made: its values have to be of the right kind.

https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md, and Docker's additions.
Programs write null where there is nothing.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from vcr.dockerfile.text import is_unfit

_TEXTS, _LISTS = (
    ("User", "WorkingDir", "StopSignal"),
    ("Env", "Cmd", "Entrypoint", "Shell", "OnBuild"),
)
_SETS, _MAPS = ("Volumes",), ("Labels",)
_PORT = re.compile(r"([0-9]{1,5})(?:/(?:tcp|udp|sctp))?", re.IGNORECASE)
_TIMES = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
LONGEST = 10**18  # nanoseconds that a health check's time may be: 31 years


def wrong_key(config: Mapping[str, Any]) -> str:
    """Return the first key of CONFIG whose value is not of its kind, "" if there is none."""
    kinds = {
        **dict.fromkeys(_TEXTS, _is_text),
        **dict.fromkeys(_LISTS, _is_list),
        **dict.fromkeys(_SETS, _is_set),
        **dict.fromkeys(_MAPS, _is_map),
        "ExposedPorts": _is_ports,
        "Healthcheck": _is_check,
    }
    given = ((key, config.get(key)) for key in kinds)
    return next((key for key, value in given if value is not None and not kinds[key](value)), "")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not is_unfit(value)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_set(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and all(map(_is_text, value))


def _is_ports(value: object) -> bool:
    if not _is_set(value):
        return False
    found = [_PORT.fullmatch(port) for port in value]
    return all(match and 1 <= int(match[1]) <= 65535 for match in found)


def _is_map(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(v) for row in value.items() for v in row)


def _is_check(value: object) -> bool:
    if not isinstance(value, dict) or not _is_list(value.get("Test") or []):
        return False
    numbers = [value.get(key) or 0 for key in _TIMES]
    return all(type(number) is int and 0 <= number <= LONGEST for number in numbers)
