"""What runs on this host, as /proc tells: for tests that nothing is left behind."""

from collections.abc import Iterator
from pathlib import Path


def command_lines() -> Iterator[str]:
    """Yield the command lines of all processes, words parted by spaces."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


def is_running(pid: int) -> bool:
    """Tell whether process PID is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
