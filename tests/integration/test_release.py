"""ci/release, step by step: built, built again by two that sign, and pushed as a policy allows."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from services import registry_server

pytestmark = [pytest.mark.nix, pytest.mark.vm]

REPO = Path(__file__).resolve().parents[2]
POLICY = 'threshold = 2\n[keys]\none = "one.pub"\ntwo = "two.pub"\n[rebuild]\nrebuilt = "project"\n'


def test_a_release_is_pushed_when_two_have_rebuilt_it(vcr: Any, tmp_path: Path) -> None:
    def step(*words: str | Path, code: int = 0, **env: str) -> str:
        done = subprocess.run(
            [REPO / "ci/release", *words], env=vcr.env | env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stderr

    project, out, policy = tmp_path / "static", tmp_path / "out", tmp_path / "policy.toml"
    shutil.copytree(REPO / "examples/static", project)
    policy.write_text(POLICY)
    step("check", project)
    step("build", project, out)
    step("verify", project, out, tmp_path / "none.json", code=2)  # RELEASE_KEY is not set
    statements = []
    for name in ("one", "two"):
        vcr("attest", "keygen", tmp_path / name)
        statements.append(tmp_path / f"{name}.json")
        key = (tmp_path / f"{name}.key").read_text()
        step("verify", project, out, statements[-1], RELEASE_KEY=key)
    with registry_server(tmp_path / "registry") as address:
        reference = f"{address}/team/static:1"
        told = step("publish", out, reference, policy, statements[0], code=3)
        assert "1 of 2" in told or "threshold" in told
        vcr("pull", reference, tmp_path / "nothing", code=7)
        step("publish", out, reference, policy, *statements)
        vcr("pull", reference, tmp_path / "pulled", "--policy", policy)
    assert (tmp_path / "pulled/manifest.json").read_bytes() == (out / "manifest.json").read_bytes()
    (project / "www/index.html").write_text("<p>another page</p>\n")
    step("verify", project, out, tmp_path / "other.json", code=3, RELEASE_KEY=key)
    assert not (tmp_path / "other.json").exists()
