"""What a snapshot holds is public, so what comes after a restore must not follow from it."""

import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_dev import until
from test_examples import get
from test_prod import stage

from vcr.model.project import load_project
from vcr.runtime.machine import start
from vcr.runtime.record import Records
from vcr.settings import Settings

pytestmark = [pytest.mark.nix, pytest.mark.vm]

EARLY, LATE = "/cgi-bin/early", "/cgi-bin/late"
DRAW = "busybox head -c 16 /dev/urandom | busybox od -An -tx1"
PAGE = "#!/usr/bin/busybox sh\necho Content-Type: text/plain; echo\n"


@pytest.fixture
def drawing(vcr: Any, project: Path) -> tuple[Path, dict[str, Any]]:
    """A project that draws once before it is healthy, and once at each request."""
    pages = project / "www" / "cgi-bin"
    pages.mkdir()
    for path, words in ((EARLY, "busybox cat /tmp/early"), (LATE, DRAW)):
        page = pages / Path(path).name
        page.write_text(f"{PAGE}{words}\n")
        page.chmod(0o755)
    script = f"{DRAW} > /tmp/early; exec busybox httpd -f -p 8080 -h /www"
    with (project / "Dockerfile").open("a") as file:
        file.write(f'CMD ["busybox", "sh", "-c", "{script}"]\n')
    return project, vcr.json("build", "--profile", "prod", project)


def restored(vcr: Any, project: Path, seed: bytes, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Go on from the snapshot on a host whose entropy is SEED; return what the app drew."""
    vcr("up", "--profile", "prod", project)
    records, loaded = Records(Settings.load(vcr.env)), load_project(project)
    record = records.load(loaded.key)
    assert record is not None
    vcr("down", "-t", "0", project)
    with monkeypatch.context() as patch:
        patch.setattr(os, "urandom", lambda count: (seed * count)[:count])
        patch.setattr(time, "time", lambda: 2_000_000_000.0)
        running = start(loaded, Path(record.vm), (), records, die_with_parent=True)
    try:
        forward = running.record.forwards[0]
        url = f"http://{forward.address}:{forward.host}"
        return [bytes.fromhex(until(partial(answer, url + path))) for path in (EARLY, LATE)]
    finally:
        running.stop(grace=0)


def answer(url: str) -> str:
    """Return what the app answers, "" before it goes on."""
    with suppress(OSError):
        return get(url)[1]
    return ""


def test_randomness_after_a_restore_is_the_hosts(
    vcr: Any, drawing: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, built = drawing
    early, late = zip(
        *(restored(vcr, project, seed, monkeypatch) for seed in (b"a", b"b")), strict=True
    )
    assert early[0] == early[1]  # as docs/prod.md warns: it was drawn in public
    assert len({*early, *late}) == 3
    memory = (stage(built, "snapshot") / "ram").read_bytes()
    assert early[0].hex(" ").encode() in memory
    for drawn in late:
        assert drawn not in memory
        assert drawn.hex(" ").encode() not in memory


def test_a_snapshot_knows_nothing_of_the_host(drawing: tuple[Path, dict[str, Any]]) -> None:
    _, built = drawing
    files = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
    told = [path.read_text().strip() for path in files if path.exists()]
    told += [os.uname().nodename, str(built["stages"][0]["path"]), str(Path.home() / ".")]
    marks = [word.encode() for word in told if len(word) >= 8]
    assert marks
    for file in stage(built, "snapshot").iterdir():
        content = file.read_bytes()
        assert not [mark for mark in marks if mark in content], file.name
