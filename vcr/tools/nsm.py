"""The Nitro Security Module of an enclave: one ioctl carries a CBOR request and its answer.

include/uapi/linux/nsm.h of Linux 6.8; the messages are those of
https://github.com/aws/aws-nitro-enclaves-nsm-api/blob/main/src/api/mod.rs.
"""

import ctypes
import fcntl
import os
import struct
from pathlib import Path
from typing import Any

from vcr.errors import HostError, VcrError
from vcr.model import cbor

DEVICE = Path("/dev/nsm")
IOCTL_RAW = 0xC0200A00  # _IOWR(0x0A, 0x0, struct nsm_raw), which has 32 bytes
RESPONSE_BYTES = 0x3000  # NSM_RESPONSE_MAX_SIZE


def attest(device: Path, user_data: bytes, nonce: bytes | None) -> bytes:
    """Return a document for USER_DATA and NONCE from DEVICE; raises HostError, VcrError."""
    try:
        handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        try:
            return document_of(_ask(handle, request(user_data, nonce)))
        finally:
            os.close(handle)
    except OSError as error:
        raise HostError(f"cannot ask {device}", why=error.strerror or str(error)) from None


def request(user_data: bytes, nonce: bytes | None) -> bytes:
    """Return the request for a document, as serde writes an enum's variant: a map of one."""
    import cbor2  # only an enclave needs it

    fields = {"user_data": user_data, "nonce": nonce, "public_key": None}
    return cbor2.dumps({"Attestation": fields})


def document_of(response: bytes) -> bytes:
    """Return the document in a RESPONSE; raises VcrError with the module's own word."""
    answer: Any = None
    try:
        answer = cbor.decode(response)
        document = answer["Attestation"]["document"]
    except (ValueError, KeyError, TypeError):
        document = None
    if not isinstance(document, bytes):
        reason = answer.get("Error", answer) if isinstance(answer, dict) else answer
        raise VcrError("the security module gave no document", why=f"it answers {reason}")
    return document


def _ask(handle: int, asked: bytes) -> bytes:
    out = ctypes.create_string_buffer(asked, len(asked))
    back = ctypes.create_string_buffer(RESPONSE_BYTES)
    raw = bytearray(
        struct.pack("QQQQ", ctypes.addressof(out), len(asked), ctypes.addressof(back), len(back))
    )
    fcntl.ioctl(handle, IOCTL_RAW, raw)
    length = struct.unpack("QQQQ", raw)[3]  # the kernel says how much it wrote
    return back.raw[:length]
