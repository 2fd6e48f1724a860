"""Builder of the seal stage: the snapshot as a compressed squashfs with its dm-verity tree.

The salt and the UUID are made of the machine hash, so the root hash commits to it.
veritysetup writes the tree; what we compute ourselves must agree.
Output: `drive`, verity.json, rungs.json.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vcr.formats.failure import Failure, guarded
from vcr.formats.hashes.progress import printed, shown_to
from vcr.formats.hashes.verity import ALGORITHM, BLOCK, Verity, check, parameters
from vcr.formats.job import read_job
from vcr.formats.rungs import RUNGS_FILE, Rung, write_rungs

DRIVE, VERITY = "drive", "verity.json"
SCHEMA = 1


@dataclass(frozen=True)
class Job:
    """What nix/stages/seal.nix gives."""

    epoch: int
    snapshot: Path
    mksquashfs: str
    veritysetup: str


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    with shown_to(printed):
        guarded(lambda: _build(read_job(Job, specification), Path(out)))


def _build(job: Job, out: Path) -> None:
    out.mkdir(parents=True)
    drive, snapshot = out / DRIVE, job.snapshot
    _run(
        job.mksquashfs, str(snapshot), str(drive),
        # -no-fragments: which files share one is a matter of timing.
        *("-noappend", "-reproducible", "-no-fragments", "-no-hardlinks", "-no-xattrs"),
        *("-no-progress", "-quiet"),
        *("-all-root", "-root-mode", "0755", "-comp", "zstd", "-Xcompression-level", "3"),
        *("-mkfs-time", str(job.epoch), "-all-time", str(job.epoch)),
    )  # fmt: skip
    with drive.open("ab") as file:
        file.write(bytes(-file.tell() % BLOCK))  # veritysetup drops what is left over
    (rung,) = json.loads((snapshot / RUNGS_FILE).read_bytes())
    verity = parameters(drive, rung["digest"])
    output = _run(
        job.veritysetup, "format", str(drive), str(drive),
        *("--hash", ALGORITHM, "--data-block-size", str(BLOCK), "--hash-block-size", str(BLOCK)),
        *("--hash-offset", str(verity.hash_offset), "--salt", verity.salt, "--uuid", verity.uuid),
    )  # fmt: skip
    check_agreement(output, drive, verity)
    description = {"schema": SCHEMA, "machine_hash": rung["digest"], **verity.as_json()}
    (out / VERITY).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
    write_rungs(out, [Rung("sealed", f"sha256:{verity.root_hash}", drive.stat().st_size, DRIVE)])


def check_agreement(output: str, drive: Path, verity: Verity) -> None:
    """Raise Failure unless OUTPUT has our root hash, and DRIVE the tree that we compute."""
    roots = [line.split()[-1] for line in output.splitlines() if line.startswith("Root hash:")]
    if roots != [verity.root_hash]:
        raise Failure("veritysetup computes another root hash than vcr", why=output)
    check(drive, verity)


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{Path(argv[0]).name} failed", why=done.stderr[-1000:])
    return done.stdout
