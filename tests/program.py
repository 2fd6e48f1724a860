"""Runs vcr as users do, in a state directory of the test's own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from within import run_apart, run_within

from vcr.model.answers import ANSWERS

REPO = Path(__file__).resolve().parents[1]
EXAMPLE = REPO / "examples" / "static"  # the smallest project
PROGRAM = [sys.executable, "-c", "from vcr.cli import main; main()"]
# Verbs that start nothing that stays and wait for nobody run in this process, which has all
# of vcr imported: most of what they take would go into that. With these words they do not.
WITHIN = frozenset(
    {"attest", "build", "cache", "cat", "cp", "create", "down", "exec", "explain", "export",
     "graph", "inspect", "intro", "lock", "logs", "prune", "ps", "push", "report", "verify"}
)  # fmt: skip
APART = frozenset({"up"})  # leaves something running: in a copy of this process
ALONE = frozenset({"-i", "-t", "-it", "--debug", "--follow", "--nbd", "--provider", "--service"})


@dataclass
class Vcr:
    """Starts vcr from this repository."""

    env: dict[str, str]
    before: tuple[str | Path, ...] = ()  # what the command line begins with
    program: list[str] = field(default_factory=lambda: PROGRAM)
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    def attempt(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run vcr, whatever comes of it."""
        argv = [*self.before, *self.program, *map(str, words)]
        return subprocess.run(
            argv, env=self.env, capture_output=True, text=True, timeout=1200, check=False
        )

    def __call__(self, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        argv = [str(word) for word in words]
        # Builds that nothing keeps are what makes the next run of all tests quick.
        assert self.before or {"prune", "--dry-run"} & {*argv} != {"prune"}, "the store is shared"
        verb = next((word for word in argv if not word.startswith("-")), "")
        if self._is_plain(argv) and verb in WITHIN:
            done = subprocess.CompletedProcess(argv, *run_within(argv, self.env))
        elif self._is_plain(argv) and verb in APART:
            done = subprocess.CompletedProcess(argv, *run_apart(argv, self.env))
        else:
            done = self.attempt(*words)
        assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stderr}"
        return done

    def json(self, *words: str | Path) -> dict[str, Any]:
        """Run vcr and return its answer, which is of the form that docs/reference/json.md says."""
        answer = json.loads(self("--json", *words).stdout)
        assert isinstance(answer, dict)
        content = {key: value for key, value in answer.items() if key not in {"schema", "kind"}}
        ANSWERS[answer["kind"]][1].model_validate_json(json.dumps(content))
        return answer

    def _is_plain(self, argv: list[str]) -> bool:
        """Whether what is run is this vcr, as this process would."""
        is_plain = not self.before and self.program == PROGRAM
        # Python looks only once where it keeps what is temporary.
        is_here = self.env.get("TMPDIR") == os.environ.get("TMPDIR")
        return is_plain and is_here and ALONE.isdisjoint(argv)

    def spawn(self, *words: str | Path) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [*self.before, *self.program, *map(str, words)],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.children.append(child)
        return child


@contextmanager
def runner_in(directory: Path) -> Iterator[Vcr]:
    """Yield what runs vcr with its state in DIRECTORY; what it leaves up is stopped."""
    # Socket paths are short by law; pytest's directories are not.
    runtime = tempfile.mkdtemp(prefix="vcr-")
    state = directory / "state"
    keep = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("VCR_") and name not in {"FORCE_COLOR", "XDG_STATE_HOME"}
    }
    env = {
        **keep,
        "PYTHONPATH": str(REPO),
        "XDG_STATE_HOME": str(state),
        "XDG_RUNTIME_DIR": runtime,
    }
    runner = Vcr(env)
    try:
        yield runner
    finally:
        for child in runner.children:
            child.kill()
            child.communicate()
        # Most tests start nothing, and another vcr for each would take minutes.
        if runner.env["XDG_STATE_HOME"] != str(state) or any(state.glob("vcr/machines/*")):
            runner("down", "--all", "-t", "0", "-q")
        shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def vcr(tmp_path: Path) -> Iterator[Vcr]:
    with runner_in(tmp_path) as runner:
        yield runner


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of examples/static, the smallest project, to change at will."""
    target = tmp_path / "project"
    shutil.copytree(EXAMPLE, target)
    return target
