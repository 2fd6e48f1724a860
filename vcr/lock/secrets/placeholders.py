"""Secrets while locking: in requests, where their placeholders are, and nowhere else.

A step never sees a secret, only a placeholder. What it sends leaves this host with the
secret in its place, also inside Basic credentials (RFC 7617); what comes back has the
placeholder again, whatever form the secret has there (vcr.lock.secrets.forms). What cannot be
written with the placeholder is refused, so that neither the lock, a layer nor a log holds
the secret.
"""

import base64
import binascii
import functools
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vcr.errors import VcrError
from vcr.foreign import CHUNK, MIB, open_regular
from vcr.lock.secrets.forms import Forms, Seen, UncleanError, base64_runs
from vcr.lock.secrets.unpacked import UnreadableError, bounded, decoded, members

BASIC = "basic "
QUOTED = "-percent"  # after a placeholder: the secret, percent-encoded
# Up to this size, in bytes, what is encoded in what is encoded is looked at.
SMALL = 1 * MIB
DEPTH = 3
MAX_CHANGED = 64 * MIB  # of a body that is unpacked to take a secret out
OVERLAP = 16  # times a secret's length: what one form of it may take
_BREAKS = re.compile(rb"=\r?\n|\s+|\\[rnt]")
_APART = re.compile(rb"(?<=[0-9A-Fa-f]{2})[:, -](?=[0-9A-Fa-f]{2})")
_HEX_RUN = re.compile(rb"[0-9A-Fa-f]{16,}")


class LeakError(Exception):
    """A secret would be recorded in a form that no placeholder can be put in."""

    def __init__(self, name: str, how: str) -> None:
        """NAME is the secret's, HOW says what form it has; never the secret."""
        super().__init__(f"it contains the secret {name} {how}")


@dataclass(frozen=True)
class Secrets:
    """Placeholder → secret, and → what the secret is called."""

    values: Mapping[str, bytes] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    # → the hosts that it may be sent to; to any where there is none
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @functools.cached_property
    def _forms(self) -> tuple[tuple[str, Forms], ...]:
        """Return the forms by placeholder; the longer first, for it may hold another secret."""
        longest = sorted(self.values.items(), key=lambda item: -len(item[1]))
        return tuple((placeholder, Forms(secret)) for placeholder, secret in longest if secret)

    def _name(self, placeholder: str) -> str:
        return self.names.get(placeholder, placeholder)

    def sent_to(self, host: str) -> "Secrets":
        """Return those of the secrets that may be sent to HOST."""
        allowed = {
            placeholder: secret
            for placeholder, secret in self.values.items()
            if host.lower() in self.hosts.get(placeholder, {host.lower()})
        }
        return Secrets(allowed, self.names, self.hosts)

    def reveal(self, data: bytes) -> bytes:
        """Return DATA with each placeholder replaced by its secret."""
        for placeholder, secret in self.values.items():
            quoted = urllib.parse.quote(secret, safe="").encode()
            data = data.replace(placeholder.encode() + QUOTED.encode(), quoted)
            data = data.replace(placeholder.encode(), secret)
        return data

    def reveal_header(self, value: str) -> bytes:
        """Return a header's VALUE with secrets, also when it is encoded credentials."""
        if value[: len(BASIC)].lower() == BASIC:
            try:
                plain = base64.b64decode(value[len(BASIC) :], validate=True)
            except binascii.Error:
                return value.encode()
            return value[: len(BASIC)].encode() + base64.b64encode(self.reveal(plain))
        return self.reveal(value.encode())

    def hide(self, data: bytes) -> bytes:
        """Return DATA with each secret, in any form, replaced; raises LeakError if it cannot be."""
        if not self.find(data):
            return data
        if name := self._packed_in(data):
            raise LeakError(name, "in a compressed file")
        for placeholder, forms in self._forms:
            new = placeholder.encode()
            quoted = new if _is_plain(forms.text) else new + QUOTED.encode()
            try:
                data = forms.replaced(data, new, quoted)
            except UncleanError:
                raise LeakError(self._name(placeholder), "in another form") from None
        if name := self.find(data):
            raise LeakError(name, "in another form")
        return data

    def hide_answer(self, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        """Return HEADERS and BODY of an answer without secrets; raises LeakError.

        A body that has a secret inside its content coding loses the coding.
        """
        kept = {name: self.hide(value.encode()).decode() for name, value in headers.items()}
        codings = kept.get("content-encoding", "")
        if not self._forms or not codings:
            return kept, self.hide(body)
        try:
            if not self._first_in(bounded(decoded(iter([body]), codings))):
                return kept, self.hide(body)
            body = b"".join(bounded(decoded(iter([body]), codings), MAX_CHANGED))
        except UnreadableError as error:
            name = self._name(self._forms[0][0])
            raise LeakError(name, f"perhaps: {error}, so this is unknown") from None
        del kept["content-encoding"]
        return kept, self.hide(body)

    def find(self, data: bytes, depth: int = DEPTH) -> str:
        """Return the name of a secret that DATA holds in any form, "" if there is none."""
        if not self._forms:
            return ""
        seen = Seen(data)
        found = next((self._name(p) for p, forms in self._forms if forms.is_in(seen)), "")
        if found or not depth:
            return found
        views = _views(data) if len(data) <= SMALL else iter(())
        if name := next(filter(None, (self.find(view, depth - 1) for view in views)), ""):
            return name
        return self._packed_in(data)

    def _packed_in(self, data: bytes) -> str:
        """Return the name of a secret that is in a file packed in DATA, "" if there is none."""
        try:
            return self._first_in(
                bounded(piece for pieces in members(data) for piece in (*pieces, b""))
            )
        except UnreadableError:
            return ""

    def find_in_file(self, path: Path) -> str:
        """Return the name of a secret that the file at PATH holds, "" if none; raises OSError."""
        if not self._forms:
            return ""
        with open_regular(path) as file:
            return self._first_in(iter(lambda: file.read(CHUNK), b""))

    def refuse(self, *texts: str) -> None:
        """Raise LeakError when one of TEXTS, which a step said, holds a secret."""
        for text in texts:
            if name := self.find(text.encode()):
                raise LeakError(name, "in the request of the step")

    def hide_text(self, text: str) -> str:
        """Return TEXT, for people, without secrets: all of it is replaced if need be."""
        if not self._forms:
            return text
        try:
            return self.hide(text.encode("utf-8", "backslashreplace")).decode("utf-8", "replace")
        except LeakError:
            return "(this line held a secret)"

    def hidden(self, error: VcrError) -> VcrError:
        """Return ERROR with no secret in any of its fields."""
        if not self._forms:
            return error
        return VcrError(
            self.hide_text(error.what),
            why=self.hide_text(error.why),
            fix=self.hide_text(error.fix),
            details=[(self.hide_text(a), self.hide_text(b)) for a, b in error.details],
            tail=self.hide_lines(error.tail),
            code=error.code,
        )

    def hide_lines(self, lines: Sequence[str]) -> list[str]:
        """Return LINES without secrets, also without one that is in two of them."""
        hidden = [self.hide_text(line) for line in lines]
        return ["(these lines held a secret)"] if self.find("".join(hidden).encode()) else hidden

    def _first_in(self, pieces: Iterable[bytes]) -> str:
        """Return the name of a secret in what PIECES are together, "" if there is none."""
        overlap = max(OVERLAP * len(forms.text) for _, forms in self._forms)
        tail = b""
        for piece in pieces:
            window = tail + piece
            if name := self.find(window, 0):
                return name
            tail = window[-overlap:]
        return ""


def _is_plain(secret: bytes) -> bool:
    """Return whether SECRET is the same in an address."""
    return urllib.parse.quote(secret, safe="").encode() == secret


def _views(data: bytes) -> Iterator[bytes]:
    """Yield what DATA holds when lines are joined, and when base64 and hex in it are decoded."""
    if _BREAKS.search(data):
        yield _BREAKS.sub(b"", data)
    if _APART.search(data):
        yield _APART.sub(b"", data)
    yield b"\n".join(base64_runs(data, 12))
    yield b"\n".join(bytes.fromhex(run[: len(run) & ~1].decode()) for run in _HEX_RUN.findall(data))
