"""What a step writes: more than the machine has memory, and out of it whole.

A large file is not sent, but read where it lies in the machine's memory.
"""

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from order import ARCHS
from processes import build_machines
from test_dockerfiles import make_project

from vcr.model.arch import Arch

pytestmark = [pytest.mark.nix, pytest.mark.vm]

# Sizes on both sides of where a file is not sent any more, holes at all places, more than one
# window of 16 MiB, and files that share their content.
KINDS = """\
FROM debian
RUN mkdir /k && cd /k && perl -e '\\
      sub part { my ($f, $at, $n) = @_; seek $f, $at, 0; print $f pack "N*", 1 .. $n }; \\
      for my $size (65535, 65536, 65537, 20_000_001) { \\
        open my $f, ">", "s$size"; part $f, 0, ($size + 3) / 4; truncate $f, $size } \\
      open my $f, ">", "holes"; part $f, 8192, 1024; part $f, 1_000_000, 9999; \\
      part $f, 20_000_000, 50; truncate $f, 40_000_001' && \\
    truncate -s 3M hole && truncate -s 65536 small-hole && ln s20000001 hard && \\
    chown 7:8 s65537 && chmod 4711 s65537
RUN --mount=type=cache,target=/c,id=c cp /k/s20000001 /c/kept && md5sum /k/* /c/* > /seen
RUN --mount=type=cache,target=/c,id=c md5sum /c/* >> /seen
"""


def numbers(count: int) -> bytes:
    """Return what perl's pack "N*", 1 .. COUNT makes."""
    return b"".join(number.to_bytes(4) for number in range(1, count + 1))


def expected() -> dict[str, bytes]:
    """Return the files that KINDS makes."""
    sizes = (65535, 65536, 65537, 20_000_001)
    made = {f"s{size}": numbers((size + 3) // 4)[:size] for size in sizes}
    holes = bytearray(40_000_001)
    for at, count in ((8192, 1024), (1_000_000, 9999), (20_000_000, 50)):
        holes[at : at + 4 * count] = numbers(count)
    made |= {"holes": bytes(holes), "hole": bytes(3 << 20), "small-hole": bytes(65536)}
    return {**made, "hard": made["s20000001"]}


def layers(image: dict[str, Any]) -> list[Path]:
    """Return the layers of an IMAGE that was built, as files."""
    layout = Path(image["stages"][0]["path"]) / "layout"
    blobs = layout / "blobs" / "sha256"
    (index,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads((blobs / index["digest"].removeprefix("sha256:")).read_text())
    return [blobs / layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]]


@pytest.mark.parametrize("arch", ARCHS)
def test_large_files_come_out_whole(vcr: Any, tmp_path: Path, arch: Arch) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "Dockerfile").write_text(KINDS)
    project = make_project(directory, '[build]\npure_caches = ["c"]\n')
    built = layers(vcr.json("build", "image", "--arch", arch, project))
    files = expected()
    with tarfile.open(built[-3]) as archive:
        found = {}
        for name in files:
            file = archive.extractfile(f"k/{name}")
            assert file is not None
            found[name] = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
        info = archive.getmember("k/s65537")
        assert (info.uid, info.gid, info.mode) == (7, 8, 0o4711)
        assert archive.getmember("k/s20000001").islnk()
    digests = {n: hashlib.md5(data, usedforsecurity=False).hexdigest() for n, data in files.items()}
    assert found == digests
    kept = f"{digests['hard']}  /c/kept"
    lines = [f"{digests[name]}  /k/{name}" for name in sorted(digests)]
    with tarfile.open(built[-1]) as archive:
        file = archive.extractfile("seen")
        assert file is not None
        assert sorted(file.read().decode().splitlines()) == sorted([*lines, kept, kept])


MEMORY = 318  # MiB, by which a machine is found, with its disk
DISK = 1200  # MiB
MUCH = """\
FROM debian
RUN for i in 1 2 3 4 5 6 7 8; do head -c 100M /dev/zero | tr '\\0' $i > /$i; done
"""


def test_a_step_writes_more_than_memory_and_the_disk_does_not_matter(
    vcr: Any, tmp_path: Path
) -> None:
    """800 MiB in a machine of 318 MiB; the layer is that of another disk, and of only memory."""
    found = []
    for number, build in enumerate(
        (
            f'memory = "{MEMORY} MiB"\ndisk = "{DISK} MiB"',
            'memory = "512 MiB"\ndisk = "2 GiB"',
            'memory = "2 GiB"',
        )
    ):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "Dockerfile").write_text(MUCH)
        image = vcr.json("build", "image", make_project(directory, f"[build]\n{build}\n"))
        found.append(layers(image)[-1].name)
    assert len(set(found)) == 1
    shutil.rmtree(tmp_path)


def test_a_full_disk_says_so(vcr: Any, tmp_path: Path) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM debian\nRUN cat /dev/zero > /full\n")
    project = make_project(directory, '[build]\nmemory = "320 MiB"\ndisk = "64 MiB"\n')
    told = vcr("build", "image", project, code=1).stderr
    assert "disk of 64 MiB is full" in told
    assert "raise disk in [build] of vcr.toml" in told


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to see into the sandbox")
def test_the_disk_is_a_file_and_not_memory(vcr: Any, tmp_path: Path) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    wait = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done"
    (directory / "Dockerfile").write_text(f"FROM debian\nRUN head -c 300M /dev/zero > /a; {wait}\n")
    options = f'[build]\nmemory = "{MEMORY} MiB"\ndisk = "400 MiB"\n'
    build = vcr.spawn("build", "image", make_project(directory, options))
    memory = files = 0
    while build.poll() is None:
        for machine in build_machines(MEMORY + 400, "vcr.result"):
            try:
                lines = dict(x.split(":") for x in (machine / "status").read_text().splitlines())
            except OSError:
                continue
            kib = {
                key: int(lines.get(key, "0").split()[0])
                for key in ("RssAnon", "RssShmem", "RssFile")
            }
            memory = max(memory, kib["RssAnon"] + kib["RssShmem"])
            files = max(files, kib["RssFile"])
    _, told = build.communicate(timeout=60)
    assert build.returncode == 0, told
    assert 0 < memory < 200 << 10
    assert files > 300 << 10
