"""Reads `--secret id=ID,src=FILE[,host=HOST]`: what a secret may be, so that it can be kept one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vcr.dockerfile.mounts import placeholder
from vcr.errors import UsageError
from vcr.lock.secrets.placeholders import Secrets

KEYS = frozenset({"id", "src", "source", "type", "host"})
LEAST = 8  # bytes: fewer are found where they are not meant, and are guessed at once
MOST = 16 << 10  # bytes: more than servers take in a header


def read_secrets(given: Sequence[str]) -> Secrets:
    """Return the secrets of the options GIVEN; raises UsageError, which never shows one."""
    values: dict[str, bytes] = {}
    names: dict[str, str] = {}
    hosts: dict[str, frozenset[str]] = {}
    for text in given:
        name, path, allowed = _parsed(text)
        if placeholder(name) in values:
            raise UsageError(f"the secret {name} is given twice", fix="leave one out")
        value = _read(name, path)
        values[placeholder(name)] = _checked(name, value.removesuffix(b"\n"))
        names[placeholder(name)] = name
        if allowed:
            hosts[placeholder(name)] = allowed
    _check_apart(values, names)
    return Secrets(values, names, hosts)


def _read(name: str, path: Path) -> bytes:
    """Return what is at PATH, which may be a pipe: a password manager writes to one."""
    try:
        with path.open("rb") as file:
            value = file.read(MOST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or "that is not a file name"
        raise UsageError(f"cannot read the secret {name}", why=why) from None
    if len(value) > MOST:
        raise UsageError(f"cannot read the secret {name}", why=f"it has more than {MOST} bytes")
    return value


def _parsed(text: str) -> tuple[str, Path, frozenset[str]]:
    """Return the id, the file and the hosts of the option TEXT; raises UsageError."""
    pairs = [field.partition("=")[::2] for field in text.split(",")]
    hosts = frozenset(value.lower() for key, value in pairs if key == "host")
    options = dict(pairs)
    path = options.get("src") or options.get("source")
    if not options.get("id") or not path or options.keys() - KEYS or "" in hosts:
        raise UsageError(
            "--secret is not complete",
            why="it has no id, no src, or more",  # what it has may be the secret itself
            fix="write --secret id=NAME,src=FILE, and ,host=HOST for each host that may get it",
        )
    return options["id"], Path(path), hosts


def _checked(name: str, value: bytes) -> bytes:
    """Return VALUE; raises UsageError when it is nothing that a request can hold."""
    if value.endswith(b"\r"):
        raise UsageError(
            f"the file of the secret {name} ends with CRLF",
            why="Windows ends lines like this; the CR would be part of the secret",
            fix="write the file without it",
        )
    try:
        wrong = next((c for c in value.decode() if not c.isprintable()), "")
    except UnicodeDecodeError:
        raise UsageError(
            f"the secret {name} is not text",
            why="a request contains UTF-8",
            fix="give it as it is sent, for example in base64",
        ) from None
    if wrong:
        raise UsageError(
            f"the secret {name} has the control character U+{ord(wrong):04X}",
            why="a header or an address cannot contain it; a file of several lines is not a secret",
            fix="give only the word that is sent",
        )
    if len(value) < LEAST:
        raise UsageError(
            f"the secret {name} has {len(value)} bytes" if value else f"the secret {name} is empty",
            why=f"fewer than {LEAST} cannot be distinguished from other text, so they cannot be"
            " hidden",
            fix="use a longer one",
        )
    return value


def _check_apart(values: Mapping[str, bytes], names: Mapping[str, str]) -> None:
    """Refuse a secret that is in a placeholder: hiding it would spoil that."""
    for own, value in values.items():
        if any(value in each.encode() for each in values):
            raise UsageError(
                f"the secret {names[own]} is part of the placeholder that replaces it",
                fix="use another one",
            )
