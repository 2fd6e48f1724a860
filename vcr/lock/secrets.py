"""Secrets while locking: in requests, where their placeholders are, and nowhere else.

A step never sees a secret, only a placeholder. What it sends leaves this host with the
secret in its place, also inside Basic credentials (RFC 7617); what comes back has the
placeholder again, so that neither the lock nor a log can hold the secret.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

BASIC = "Basic "


@dataclass(frozen=True)
class Secrets:
    """Placeholder → secret."""

    values: Mapping[str, bytes] = field(default_factory=dict)

    def reveal(self, data: bytes) -> bytes:
        """Return DATA with each placeholder replaced by its secret."""
        for placeholder, secret in self.values.items():
            data = data.replace(placeholder.encode(), secret)
        return data

    def hide(self, data: bytes) -> bytes:
        """Return DATA with each secret replaced by its placeholder."""
        for placeholder, secret in self.values.items():
            data = data.replace(secret, placeholder.encode()) if secret else data
        return data

    def reveal_header(self, value: str) -> str:
        """Return a header's VALUE with secrets, also when it is encoded credentials."""
        if value.startswith(BASIC):
            try:
                plain = base64.b64decode(value.removeprefix(BASIC), validate=True)
            except binascii.Error:
                return value
            return BASIC + base64.b64encode(self.reveal(plain)).decode()
        return self.reveal(value.encode()).decode()
