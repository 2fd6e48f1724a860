"""What build machines are made of that more than one module knows: memory, and a limit."""

from dataclasses import dataclass
from typing import Any

from vcr.formats.failure import Failure

# Of `microvm`, microvm_memory_init of hw/i386/microvm.c: it has LOW bytes of memory at 0, and what
# is more from HIGH on.
LOW, HIGH = 0xC000_0000, 1 << 32


@dataclass(frozen=True)
class Mapping:
    """How files get into a machine's memory, as mapped.py says."""

    # QEMU's arguments instead of those of a machine without files, and its memory in bytes then
    memory: tuple[str, ...] = ()
    own: int = 0
    devices: tuple[str, ...] = ()  # QEMU's arguments, too
    line: str = ""  # what the kernel is told
    # Where they are, in their order: pieces of guest/step/mapped.go.
    pieces: tuple[list[dict[str, Any]], ...] = ()


NONE = Mapping()


def memory_argv(size: int, mapping: Mapping, file: str) -> list[str]:
    """Return QEMU's arguments for SIZE bytes of memory, in FILE if that is not "".

    FILE is as QEMU takes it in an option.
    """
    own = f"id=memory,size={mapping.own or size}"
    backend = f"memory-backend-file,{own},mem-path={file},share=on"
    backend = backend if file else f"memory-backend-ram,{own},reserve=off"
    rest = mapping.memory or ("-M", "memory-backend=memory", "-m", f"{size >> 20}M")
    return ["-object", backend, *rest]


def too_large(most: int) -> Failure:
    """Return the error of a layer that has more than MOST bytes."""
    return Failure(
        f"the command changes more than {most >> 30} GiB",
        why="a layer contains files with their whole length, also their holes",
        fix="let it write less",
    )
