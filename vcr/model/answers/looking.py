"""What is printed of looking into machines: profiles and debuggers."""

from typing import ClassVar, Literal

from pydantic import Field

from vcr.model.answers.base import Answer


class PerfRecord(Answer):
    """The profile that was written."""

    verb: ClassVar[str] = "perf record"

    file: str = Field(description="the file, as given")
    samples: int = Field(description="the number of its samples")
    lost: int = Field(description="samples that were taken but not kept")


class FunctionRow(Answer):
    """A function that a process was seen in."""

    process: str = Field(description="the name of the process")
    object: str = Field(description="file name of the program or library, or `kernel`")
    symbol: str = Field(description="the function")
    own: int = Field(description="samples in the function itself")
    total: int = Field(description="samples in it or in functions that it called")


class Perf(Answer):
    """A profile by function; `perf top` prints one again and again."""

    verb: ClassVar[str] = "perf report, perf top"

    name: str = Field(description="of the project")
    profile: str = Field(description="of the build")
    clock: Literal["time", "instructions"] = Field(description="how samples are taken")
    every: int = Field(description="distance between two samples: nanoseconds, or instructions")
    duration: float = Field(description="total: seconds, or instructions")
    samples: int = Field(description="how many there are")
    lost: int = Field(description="samples that were taken but not kept")
    functions: list[FunctionRow] = Field(
        description="those with the most samples in themselves first"
    )


class Gdb(Answer):
    """How a debugger reaches a machine."""

    verb: ClassVar[str] = "gdb --print"

    argv: list[str] = Field(description="the command")
    socket: str = Field(description="where QEMU listens")
