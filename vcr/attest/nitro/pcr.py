"""Registers (PCRs) of a Nitro enclave as users write them.

See vcr/formats/pcrs.py for how they are computed.
"""

from vcr.formats.pcrs import SIZE

COUNT = 32  # how many registers there are
SEALED = "sealed"  # as a value: the register that the loader extended with the root hash


def parse_register(text: object) -> object:
    """Read the value of a register: hex, or "sealed", which is given as empty bytes.

    What is not text is left as it is; raises ValueError.
    """
    if not isinstance(text, str):
        return text
    if text == SEALED:
        return b""
    found = bytes.fromhex(text)
    if len(text) != 2 * SIZE or len(found) != SIZE:  # blanks are none of it
        raise ValueError(f"a register is {SIZE} bytes in hex, or {SEALED!r}")
    return found


def parse_index(text: str) -> int:
    """Read the number of a register; raises ValueError."""
    if text not in map(str, range(COUNT)):  # in one way: "00" would be another "0"
        raise ValueError(f"{text!r} is not a register: 0 to {COUNT - 1}")
    return int(text)
