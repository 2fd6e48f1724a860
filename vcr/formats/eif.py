"""The enclave image format, version 4: written and read, canonically.

https://github.com/aws/aws-nitro-enclaves-image-format/blob/main/src/defs/mod.rs. All numbers
are big endian: a header, then sections with a header of their own. The CRC covers all but
itself. Only kernel, command line and ramdisks are measured; see pcrs.py.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from vcr.formats.failure import Failure

MAGIC = b".eif"
VERSION = 4
MAX_SECTIONS = 32
KERNEL, CMDLINE, RAMDISK, METADATA = 1, 2, 3, 5  # 4 is a signature, which ours do not have
# The command line, which is in the first ramdisk once more. Registers are of the parts one after
# the other, without anything between: words moved from the line to the kernel's end change
# none. guest/loader/cmdline.go, behind both, compares the line that the kernel got with this
# one; what a hypervisor may add is said there.
# reboot=k, panic=-1: whatever goes wrong ends the enclave. pci=off: it has virtio-mmio only,
# and is told where by what the hypervisor adds to this line.
KERNEL_LINE = "reboot=k panic=-1 pci=off console=ttyS0 quiet random.trust_cpu=on rdinit=/init"
ARCHITECTURES = {"amd64": 0, "arm64": 1}  # bit 0 of the header's flags
_HEADER = struct.Struct(">4sHHQQHH32Q32QI")  # without the CRC
_CRC = struct.Struct(">I")
_SECTION = struct.Struct(">HHQ")
BODY = _HEADER.size + _CRC.size


@dataclass(frozen=True)
class Image:
    """What an enclave is started from."""

    arch: str  # amd64, arm64
    kernel: bytes
    cmdline: str
    ramdisks: tuple[bytes, ...]  # the kernel gets them one after the other
    metadata: bytes  # JSON, not measured
    memory: int  # bytes that are suggested, not measured
    cpus: int

    def sections(self) -> list[tuple[int, bytes]]:
        """Return (type, content) in the order that AWS's own builder writes."""
        return [
            (KERNEL, self.kernel),
            (CMDLINE, self.cmdline.encode()),
            (METADATA, self.metadata),
            *((RAMDISK, ramdisk) for ramdisk in self.ramdisks),
        ]


def encode(image: Image) -> bytes:
    """Return IMAGE as a file; the same bytes every time."""
    sections = image.sections()
    unused = [0] * (MAX_SECTIONS - len(sections))
    offsets, at = [], BODY
    for _, content in sections:
        offsets.append(at)
        at += _SECTION.size + len(content)
    header = _HEADER.pack(
        MAGIC, VERSION, ARCHITECTURES[image.arch], image.memory, image.cpus, 0, len(sections),
        *offsets, *unused, *(len(content) for _, content in sections), *unused, 0,
    )  # fmt: skip
    parts = [header]
    for kind, content in sections:
        parts += [_SECTION.pack(kind, 0, len(content)), content]
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return b"".join([header, _CRC.pack(crc), *parts[1:]])


def decode(data: bytes) -> Image:
    """Read what `encode` writes; raises Failure for anything else, be it one bit."""
    try:
        image = _decoded(data)
        written = encode(image)
    except (struct.error, ValueError, KeyError) as error:
        raise _broken(f"its structure is not that of an enclave image: {error}") from None
    if written != data:
        raise _broken("its header, its CRC and its content do not agree")
    return image


def _decoded(data: bytes) -> Image:
    magic, _, flags, memory, cpus, _, count, *_ = _HEADER.unpack_from(data)
    if magic != MAGIC or count > MAX_SECTIONS:
        raise _broken("it does not begin like one")
    sections = list(_sections(data, count))
    by_kind = {kind: [content for k, content in sections if k == kind] for kind, _ in sections}
    (kernel,), (cmdline,), (metadata,) = (by_kind.get(k, []) for k in (KERNEL, CMDLINE, METADATA))
    (arch,) = (name for name, flag in ARCHITECTURES.items() if flag == flags)
    ramdisks = tuple(by_kind.get(RAMDISK, ()))
    return Image(arch, kernel, cmdline.decode(), ramdisks, metadata, memory, cpus)


def _sections(data: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield COUNT sections as they follow one another; `encode` finds out what is amiss."""
    at = BODY
    for _ in range(count):
        kind, _, size = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        if size > len(data) - at:
            raise _broken(f"a section of {size} bytes is longer than the file")
        yield kind, data[at : at + size]
        at += size


def _broken(why: str) -> Failure:
    return Failure(
        "the enclave image is damaged", why=why, fix="build or get it again", code="mismatch"
    )


def metadata(name: str, kernel_version: str) -> bytes:
    """Return the metadata that nitro-cli shows; what could differ between builds is constant."""
    described = {
        "ImageName": name,
        "ImageVersion": "1",
        "BuildMetadata": {
            "BuildTime": "1970-01-01T00:00:00+00:00",
            "BuildTool": "vcr",
            "BuildToolVersion": "1",
            "OperatingSystem": "Linux",
            "KernelVersion": kernel_version,
        },
        "DockerInfo": {},
        "CustomMetadata": {},
    }
    return json.dumps(described, sort_keys=True, separators=(",", ":")).encode()
