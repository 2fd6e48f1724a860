"""ci/release, and what calls it: a workflow of GitHub, and a template of GitLab."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CALLERS = (".github/workflows/release.yml", "ci/gitlab.yml")
# There is none in the sandbox of `nix flake check`.
NEEDS_SHELL = pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs /bin/sh")


@pytest.mark.parametrize("path", CALLERS)
def test_the_steps_are_those_of_the_script_in_their_order(repo: Path, path: str) -> None:
    text = (repo / path).read_text()
    called = re.findall(r"ci/release (\w+) (.+)", text)
    usage = dict(re.findall(r"#   ci/release (\w+) (\S+(?: \S+)*)  +", _script(repo)))
    assert [name for name, _ in called] == list(usage) == ["check", "build", "verify", "publish"]
    for name, words in called:
        assert len(words.replace("${{ matrix.host }}", "HOST").split()) == len(usage[name].split())


@pytest.mark.parametrize("path", CALLERS)
def test_no_image_is_named_by_a_tag(repo: Path, path: str) -> None:
    images = re.findall(r"image: (.+)", (repo / path).read_text())
    assert images
    assert [image for image in images if re.search(r":[\w.-]+$", image)] == []


def test_gitlab_reads_its_template(repo: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    header, jobs = yaml.safe_load_all((repo / "ci/gitlab.yml").read_text())
    inputs = header["spec"]["inputs"]
    used = set(re.findall(r"\$\[\[ inputs\.([\w-]+) \]\]", (repo / "ci/gitlab.yml").read_text()))
    assert used == set(inputs)
    for name in ("image", "vcr-commit"):
        assert "default" not in inputs[name], "nothing is pinned for a user without their knowledge"
    assert re.match(inputs["image"]["regex"], "debian@sha256:" + "0" * 64)
    assert not re.match(inputs["image"]["regex"], "debian:trixie")
    needed = {need for job in jobs.values() for need in job.get("needs", ())}
    assert needed < set(jobs)


@NEEDS_SHELL
@pytest.mark.parametrize(
    "words", [(), ("build", "x"), ("verify", "x", "y"), ("publish", "a", "b", "c"), ("rm", "x")]
)
def test_what_is_not_understood_says_how(repo: Path, words: tuple[str, ...]) -> None:
    argv: list[str | Path] = [repo / "ci/release", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ci/release publish OUT REF POLICY STATEMENT..." in done.stderr


def test_actionlint_accepts_the_workflows(repo: Path) -> None:
    if (program := shutil.which("actionlint")) is None:
        pytest.skip("needs actionlint")
    files = sorted((repo / ".github/workflows").iterdir())
    done = subprocess.run([program, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def _script(repo: Path) -> str:
    return (repo / "ci/release").read_text()
