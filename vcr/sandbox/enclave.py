"""Builder of the enclave image: kernel, command line, loader, and which drive to open.

The first ramdisk is the same for every app: the loader (guest/loader) and what runs a
snapshot. The second holds the verity parameters and nothing else, so that PCR2 can be
computed from the root hash, the salt and the number of blocks.

Output: `enclave.eif`, pcrs.json, rungs.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from vcr.formats.cpio import cpio_bytes
from vcr.formats.eif import KERNEL_LINE, Image, encode, metadata
from vcr.formats.failure import guarded
from vcr.formats.hashes.verity import Verity
from vcr.formats.job import read_job
from vcr.formats.pcrs import measure, of_root
from vcr.formats.rungs import Rung, rung_of_file, write_rungs
from vcr.formats.tree import Tree, text_file

EIF, PCRS = "enclave.eif", "pcrs.json"
PARAMETERS = "vcr/verity.json"  # in the second ramdisk
SCHEMA = 1
# What the loader needs itself, on top of the ramdisks, twice, and of the machine.
RESERVED = 256 << 20
CPUS = 2


@dataclass(frozen=True)
class Job:
    """What nix/stages/enclave.nix gives."""

    name: str
    arch: str
    kernel: Path
    kernel_version: str
    runtime: Path
    verity: Path
    machine: Path


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out)))


def parameters(verity: Verity) -> bytes:
    """Return the second ramdisk: canonical JSON of what dm-verity is told."""
    settings = {
        "algorithm": verity.algorithm,
        "block_size": verity.data_block_size,
        "data_blocks": verity.data_blocks,
        "root_hash": verity.root_hash,
        "salt": verity.salt,
    }
    tree = Tree()
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    tree.put(PARAMETERS, text_file(f"{text}\n"))
    return cpio_bytes(tree, 0)


def _build(job: Job, out: Path) -> None:
    out.mkdir(parents=True)
    verity = Verity.of(json.loads(job.verity.read_bytes()))
    ramdisks = (job.runtime.read_bytes(), parameters(verity))
    machine = json.loads(job.machine.read_bytes())
    image = Image(
        arch=job.arch,
        kernel=job.kernel.read_bytes(),
        cmdline=KERNEL_LINE,
        ramdisks=ramdisks,
        metadata=metadata(job.name, job.kernel_version),
        memory=RESERVED + 2 * sum(map(len, ramdisks)) + 2 * (machine["memory_mib"] << 20),
        cpus=CPUS,
    )
    (out / EIF).write_bytes(encode(image))
    values = measure(image.kernel, image.cmdline.encode(), image.ramdisks)
    values[16] = of_root(bytes.fromhex(verity.root_hash))
    registers = {f"PCR{number}": value.hex() for number, value in values.items()}
    text = json.dumps(
        {"schema": SCHEMA, "algorithm": "sha384", **registers}, indent=1, sort_keys=True
    )
    (out / PCRS).write_text(text + "\n")
    size = (out / EIF).stat().st_size
    rungs = [Rung(f"pcr{n}", f"sha384:{values[n].hex()}", size, PCRS) for n in (0, 1, 2)]
    write_rungs(out, [rung_of_file("eif", out, EIF), *rungs])
