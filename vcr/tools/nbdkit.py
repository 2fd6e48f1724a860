"""nbdkit: serves a file over the network block device protocol.

https://libguestfs.org/nbdkit.1.html, https://libguestfs.org/nbdkit-file-plugin.1.html
"""

from dataclasses import dataclass
from pathlib import Path

from vcr.errors import HostError


@dataclass(frozen=True)
class Nbdkit:
    """The program and its file plugin."""

    program: Path
    plugin: Path

    @classmethod
    def of_toolset(cls, toolset: Path) -> "Nbdkit":
        """Use the pinned program; raises HostError when the toolset is not whole."""
        # By its path: Debian's nbdkit looks for plugins below /usr/lib only.
        plugins = sorted(toolset.glob("usr/lib/*/nbdkit/plugins/nbdkit-file-plugin.so"))
        if not plugins:
            raise HostError(f"{toolset} has no file plugin", fix="nix-store --repair-path of it")
        return cls(toolset / "usr/bin/nbdkit", plugins[0])

    def command_line(self, drive: Path, listen: tuple[str, ...], pid_file: Path) -> list[str]:
        """Return the argv that serves DRIVE, read-only; PID_FILE appears when it listens."""
        return [
            str(self.program),
            "--foreground",
            "--readonly",  # clients are told, and a write is refused
            *("--pidfile", str(pid_file)),
            *listen,
            str(self.plugin),
            f"file={drive}",
        ]
