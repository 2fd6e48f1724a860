"""The layers below a RUN lie in its machine's memory: nothing of them is lost, copied, or changed.

Every kind of file is made by one step and looked at by the next.
"""

import json
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from order import ARCHS
from processes import build_machines
from test_dockerfiles import make_project

from vcr.model.arch import Arch

pytestmark = [pytest.mark.nix, pytest.mark.vm]

# setxattr is 5 and getxattr 8 for Linux on riscv64 and arm64; on amd64 188 and 191.
KINDS = """\
FROM debian
RUN mkdir -m 1750 /k && cd /k && echo one > a && ln a b && ln a c && chown 100000:4000000000 a && \\
    mkfifo fifo && mknod char c 1 3 && mknod block b 259 70000 && chmod 666 char && \\
    ln -s "nowhere" link && touch empty && chmod 6751 empty && \\
    perl -e 'open my $f, ">", "n\\xff\\xfem"; print $f "odd\\n"' && \\
    perl -e '$c = `uname -m` =~ /x86/ ? 188 : 5; $p = "a"; $v = "v\\0w"; $n = "user.k"; \\
      syscall($c, $p, $n, $v, 3, 0) == 0 or die $!; \\
      $v = pack "V5", 0x2000001, 0x400, 0, 0, 0; $n = "security.capability"; \\
      $p = "empty"; syscall($c, $p, $n, $v, 20, 0) == 0 or die $!' && \\
    perl -e 'print pack "N*", 0 .. 2_000_000' > large && truncate -s 3M hole && \\
    mkdir gone whole && touch gone/x whole/x whole/y
RUN rm -r /k/gone /k/whole && mkdir /k/whole && touch /k/whole/new && echo two >> /k/c
RUN cd /k && { stat -c '%n %F %a %u %g %h %s %t %T %Y' a fifo char block link empty hole \\
      && cat a b c && ls whole && [ ! -e gone ] && perl -e 'print -s "n\\xff\\xfem", "\\n"' && \\
    test $(stat -c %i:%d a) = $(stat -c %i:%d b) && echo linked; \\
    test $(stat -c %i:%d a) = $(stat -c %i:%d c) || echo apart; \\
    perl -e '$c = `uname -m` =~ /x86/ ? 191 : 8; $p = "a"; $v = "\\0" x 32; $n = "user.k"; \\
      $l = syscall($c, $p, $n, $v, 32); print unpack("H*", substr $v, 0, $l), "\\n"; \\
      $p = "empty"; $n = "security.capability"; \\
      $l = syscall($c, $p, $n, $v, 32); print unpack("H*", substr $v, 0, $l), "\\n"' && \\
    md5sum < large; } > /seen
"""
SEEN = """\
a regular file 644 100000 4000000000 3 4 0 0 EPOCH
fifo fifo 644 0 0 1 0 0 0 EPOCH
char character special file 666 0 0 1 0 1 3 EPOCH
block block special file 644 0 0 1 0 103 11170 EPOCH
link symbolic link 777 0 0 1 7 0 0 EPOCH
empty regular empty file 6751 0 0 1 0 0 0 EPOCH
hole regular file 644 0 0 1 3145728 0 0 EPOCH
one
one
one
two
new
4
linked
apart
760077
0100000200040000000000000000000000000000
4fbb77f0649358c2c3e8eef24708c226  -
"""


def seen(image: dict[str, Any]) -> str:
    """Return what the last step of an IMAGE that was built has written to /seen."""
    layout = Path(image["stages"][0]["path"]) / "layout"
    blobs = layout / "blobs" / "sha256"
    (index,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads((blobs / index["digest"].removeprefix("sha256:")).read_text())
    last = blobs / manifest["layers"][-1]["digest"].removeprefix("sha256:")
    with tarfile.open(last) as archive:
        file = archive.extractfile("seen")
        assert file is not None
        return file.read().decode()


@pytest.mark.parametrize("arch", ARCHS)
def test_a_step_sees_every_kind_of_file_as_it_is(vcr: Any, tmp_path: Path, arch: Arch) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "Dockerfile").write_text(KINDS)
    project = make_project(directory)
    epoch = json.loads((project / "vcr.lock").read_text())["epoch"]
    built = vcr.json("build", "image", "--arch", arch, project)
    assert seen(built) == SEEN.replace("EPOCH", str(epoch))


MEMORY = 317  # MiB, by which a machine is found
BASE = 300 << 20  # bytes that nothing compresses, of which a step reads the beginning
LARGE = """\
FROM debian
COPY large /large
RUN head -c 16 /large > /head; i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to see into the sandbox")
def test_a_large_layer_takes_no_memory(vcr: Any, tmp_path: Path) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "large").write_bytes(os.urandom(BASE))
    (directory / "Dockerfile").write_text(LARGE)
    build = vcr.spawn(
        "build", "image", make_project(directory, f'[build]\nmemory = "{MEMORY} MiB"\n')
    )
    most, deadline = 0, time.monotonic() + 500
    while build.poll() is None and time.monotonic() < deadline:
        for machine in build_machines(MEMORY, "vcr.result"):
            try:
                lines = (machine / "status").read_text().splitlines()
            except OSError:
                continue
            # What is not from a file: pages of that are the host's to take back.
            kinds = ("RssAnon:", "RssShmem:")
            most = max(most, sum(int(line.split()[1]) for line in lines if line.startswith(kinds)))
        time.sleep(0.05)
    _, told = build.communicate(timeout=60)
    assert build.returncode == 0, told
    assert 0 < most < 250 << 10  # KiB
