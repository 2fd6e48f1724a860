"""The kernel's functions by address, from the System.map of its build."""

import bisect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vcr.perf.profile import OBJECT
from vcr.verify.memory import SYMBOL

KERNEL = "kernel"  # the object of its frames
UNKNOWN = "[unknown]"
_ADDRESS = re.compile("0x[0-9a-f]{1,16}")
LAST = "_end"  # the symbol where the kernel ends


@dataclass(frozen=True)
class KernelSymbols:
    """Functions, sorted by address; the kernel runs where it was linked to."""

    addresses: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the System.map at PATH; without one, no address has a name."""
        if not path.is_file():
            return cls()
        text = path.read_text(encoding="ascii", errors="replace")
        pairs = sorted({int(match[1], 16): match[2] for match in SYMBOL.finditer(text)}.items())
        return cls(tuple(address for address, _ in pairs), tuple(name for _, name in pairs))

    def name(self, address: int) -> str:
        """Return the name of the function at ADDRESS."""
        at = bisect.bisect_right(self.addresses, address) - 1
        return UNKNOWN if at < 0 or self.names[at] == LAST else self.names[at]

    def address_of(self, name: str) -> int | None:
        """Return the address of the function NAME, None when there is none of it."""
        return self.addresses[self.names.index(name)] if name in self.names else None

    def resolve(self, frame: str) -> str:
        """Return FRAME with a name in place of an address of the kernel."""
        where, _, address = frame.partition(OBJECT)
        if where != KERNEL or not _ADDRESS.fullmatch(address):
            return frame
        return f"{KERNEL}{OBJECT}{self.name(int(address, 16))}"
