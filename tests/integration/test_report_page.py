"""The page about a real build; in a real browser where there is one."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from vcr.verify.milestones import milestones

STATIC = Path(__file__).resolve().parents[2] / "examples" / "static"
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


def test_the_page_of_a_release_tells_how_it_came_up_and_who_vouches(
    vcr: Any, tmp_path: Path
) -> None:
    words = (STATIC, "--profile", "prod")
    for name in ("alice", "bob"):
        vcr("attest", "keygen", tmp_path / name)
        output = tmp_path / f"{name}.json"
        vcr("attest", *words, "--key", tmp_path / f"{name}.key", "--output", output)
    output = tmp_path / "out.html"
    beside = ("--attestation", tmp_path / "alice.json", "--attestation", tmp_path / "bob.json")
    told = vcr.json("report", output, *words, *beside, "--trusted-key", tmp_path / "alice.pub")
    assert [each["holds"] for each in told["attestations"]] == [True, False]
    text = output.read_text()
    assert "provenance, signed by " in text
    assert "not verified" in text
    built = vcr.json("build", *words)
    snapshot = next(Path(s["path"]) for s in built["stages"] if s["name"] == "snapshot")
    found = milestones(snapshot)
    assert [each.name for each in found] == [
        "the kernel's clock starts",
        "the initramfs starts",
        "the root is found",
        "the app's container is made",
        "the app is healthy",
    ]
    counts = [each.instructions for each in found]
    assert counts == sorted(counts)
    assert f"{counts[1] / 1e6:.1f} M" in text


@pytest.mark.vm
def test_a_browser_shows_it_in_light_and_dark_without_an_error(vcr: Any, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    output = tmp_path / "out.html"
    (tmp_path / "nothing.json").write_text("{}")
    given = ("--attestation", tmp_path / "nothing.json")
    vcr("report", output, STATIC, "--profile", "prod", *given)
    pictures = set()
    for scheme in (0, 1):  # of Chromium's WebPreferredColorScheme: dark, light
        picture = tmp_path / f"{scheme}.png"
        done = subprocess.run(
            [browser, *QUIET, f"--user-data-dir={tmp_path / 'chromium'}",
             "--enable-logging=stderr", f"--blink-settings=preferredColorScheme={scheme}",
             f"--screenshot={picture}", output.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )  # fmt: skip
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert "CONSOLE" not in done.stderr
        pictures.add(picture.read_bytes())
    assert len(pictures) == 2
