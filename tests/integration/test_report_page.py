"""The page about a real build; in a real browser where there is one."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.nix
# As root it takes --no-sandbox; the others keep it from asking the network for anything.
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync")  # fmt: skip


def test_the_page_holds_the_ladder(vcr: Any, project: Path) -> None:
    output = project / "out.html"
    vcr("report", output, project)
    text = output.read_text()
    for rung in vcr.json("build", project)["ladder"]:
        assert rung["digest"] in text
    assert "/bin/busybox" in text
    assert "busybox-static" in text


def test_a_browser_shows_it_without_an_error(vcr: Any, project: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    output, picture = project / "out.html", project / "out.png"
    vcr("report", output, project)
    done = subprocess.run(
        [browser, *QUIET, f"--user-data-dir={project / 'chromium'}", "--enable-logging=stderr",
         f"--screenshot={picture}", output.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "CONSOLE" not in done.stderr
