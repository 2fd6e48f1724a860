"""bin/rebuild, and the workflow that runs it on two hosts."""

import re
import subprocess
from pathlib import Path

import pytest

# There is none in the sandbox of `nix flake check`.
pytestmark = pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs /bin/sh")


def rebuild(repo: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [repo / "bin/rebuild", *words], capture_output=True, text=True, check=False
    )


def test_builds_that_are_the_same(repo: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}\n")
    done = rebuild(repo, "compare", *(tmp_path / name for name in ("a", "b", "c")))
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"3 builds are the same: sha256:[0-9a-f]{64}\n", done.stdout)


@pytest.mark.parametrize(
    "words", [(), ("build", "x"), ("compare", "x"), ("publish", "a", "b", "c"), ("push", "a", "b")]
)
def test_what_is_not_understood_says_how(repo: Path, words: tuple[str, ...]) -> None:
    done = rebuild(repo, *words)
    assert done.returncode == 2
    assert "bin/rebuild compare OUT OUT..." in done.stderr


def test_the_workflow_runs_the_script_and_pins_its_actions(repo: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    text = (repo / ".github/workflows/rebuild.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    usage = (repo / "bin/rebuild").read_text()
    for command in commands:
        match = re.search(r"bin/rebuild (\w+) ", command)
        assert match is not None, command
        assert f"#   bin/rebuild {match[1]} " in usage
    assert len(commands) == 3
    for step in steps:
        assert re.fullmatch(
            r"actions/[a-z-]+@[0-9a-f]{40}", step.get("uses", "actions/x@" + "0" * 40)
        )
    hosts = jobs["build"]["strategy"]["matrix"]["include"]
    assert len({host["image"] for host in hosts}) == len(hosts) == 2
    for host in hosts:
        assert f"builds/{host['host']}" in text
