"""Texts and files that statements are made with and verified against, read."""

import datetime as dt
import math
from pathlib import Path
from typing import TYPE_CHECKING

from vcr.errors import UsageError
from vcr.foreign import MAX_PROOF, MAX_TEXT, read_bytes

if TYPE_CHECKING:  # pydantic and cryptography cost 300 ms at import
    from cryptography.x509 import Certificate


def read_input(path: Path, most: int = MAX_PROOF) -> bytes:
    """Return what is in a statement or evidence at PATH; raises UsageError."""
    try:
        return read_bytes(path, most)
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None


def read_registers(words: tuple[str, ...], file: Path | None) -> dict[int, bytes]:
    """Read --pcr and --pcrs; raises UsageError, also when they contradict one another."""
    from vcr.attest.nitro.pcr import parse_index, parse_register

    told = list(_measurements(file)) if file else []
    told += [(index, value) for index, _, value in (word.partition("=") for word in words)]
    found: dict[int, bytes] = {}
    for index, value in told:
        try:
            number, register = parse_index(index), parse_register(value)
            assert isinstance(register, bytes)  # noqa: S101 -- for mypy: VALUE is text
        except ValueError as error:
            raise UsageError(f"PCR {index}={value} is wrong", why=str(error)) from None
        if found.setdefault(number, register) != register:
            raise UsageError(f"PCR {index} is given twice, with two values")
    return found


def _measurements(file: Path) -> list[tuple[str, str]]:
    """Read {"Measurements": {"PCR0": HEX, ...}}, or what is inside it; raises UsageError."""
    from vcr.attest import strict_json

    try:
        content = strict_json.load(read_input(file, MAX_TEXT))
        rows = content.get("Measurements", content)
        found = [(k.removeprefix("PCR"), str(v)) for k, v in rows.items() if k.startswith("PCR")]
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{file} has no registers", why=str(error)) from None
    if not found:
        raise UsageError(f"{file} has no registers", fix='as in {"PCR0": "HEX", ...}')
    return found


def read_root(path: Path) -> "Certificate":
    """Return the certificate at PATH, in PEM; raises UsageError."""
    from cryptography import x509

    data = read_input(path, MAX_TEXT)
    try:
        return x509.load_pem_x509_certificate(data)
    except Exception as error:  # noqa: BLE001 -- whatever a parser of strange bytes raises
        raise UsageError(f"{path} is not a certificate in PEM", why=str(error)) from None


def read_hex(text: str, option: str) -> bytes:
    """Return the bytes that TEXT, of the OPTION, is the hex of; raises UsageError."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"{option} {text} is not hex") from None


def read_age(text: str) -> float:
    """Return --max-age in seconds; raises UsageError."""
    from vcr.model.duration import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--max-age {text} is wrong", why=str(error)) from None
    if not 0 < seconds < math.inf:
        raise UsageError(f"--max-age {text} is wrong", why="it has to be above zero and finite")
    return seconds


def read_moment(text: str) -> dt.datetime:
    """Return --at; raises UsageError."""
    try:
        found = dt.datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:  # such as the year 1, east of Greenwich
        raise UsageError(f"--at {text} is wrong", why=str(error)) from None
    raise UsageError(f"--at {text} has no time zone", fix="as in 2026-11-26T00:00:00Z")


def read_nonce(text: str | None) -> bytes | None:
    """Return the bytes that --nonce is the hex of; raises UsageError."""
    return None if text is None else read_hex(text, "--nonce")


def read_time(text: str | None) -> str | None:
    """Return --time, when a statement is said to be made, `now` as a time; raises UsageError."""
    from vcr.attest.checks.rejected import RejectedError
    from vcr.attest.predicates import parse_time

    if text == "now":
        return f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    try:
        if text is not None:
            parse_time(text)
    except RejectedError as error:
        raise UsageError(f"--time {text} is wrong", why=error.why) from None
    return text
