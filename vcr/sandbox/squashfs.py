"""Builder of the squashfs stage's rung; mksquashfs itself is run by nix/stages/squashfs.nix."""

from pathlib import Path

from vcr.formats.rungs import rung_of_file, write_rungs

SQUASHFS = "root.squashfs"


def main(_specification: str, out: str) -> None:
    """Write the rung of OUT/root.squashfs."""
    write_rungs(Path(out), [rung_of_file("squashfs", Path(out), SQUASHFS)])
