"""Every exit code of docs/reference/exit-codes.md, by a real process that ends with it."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from program import EXAMPLE, Vcr

from vcr.errors import ExitCode

pytestmark = pytest.mark.nix
# A fault of vcr's own: a check of `vcr doctor` that no machine can pass.
FAULT = (
    "import vcr.app.hosting.doctor as d; "
    "d.CHECKS = (lambda _: 1 / 0,); from vcr.cli import main; main()"
)

type Done = subprocess.CompletedProcess[str]


def ok(vcr: Vcr, project: Path) -> Done:
    return vcr.attempt("intro", project)


def failed(vcr: Vcr, project: Path) -> Done:
    (project / "Dockerfile").write_text("FROM busybox\nCOPY --chown=alice www /www\n")
    return vcr.attempt("build", "image", project)


def usage(vcr: Vcr, project: Path) -> Done:
    return vcr.attempt("biuld", project)


def mismatch(vcr: Vcr, project: Path) -> Done:
    claim = vcr.json("build", project)
    claim["ladder"][0]["digest"] = "sha256:" + "0" * 64
    ladder = project.parent / "ladder.json"
    ladder.write_text(json.dumps(claim))
    return vcr.attempt("verify", ladder, project, "--accept-cache")


def lock(vcr: Vcr, project: Path) -> Done:
    (project / "vcr.lock").unlink()
    return vcr.attempt("build", project)


def host(vcr: Vcr, project: Path) -> Done:
    vcr.env["PATH"] = str(project)  # no Nix there
    return vcr.attempt("doctor")


def unhealthy(vcr: Vcr, project: Path) -> Done:
    (project / "Dockerfile").write_text(
        'FROM busybox\nEXPOSE 80\nCMD ["busybox", "sh", "-c", "exit 3"]\n'
    )
    return vcr.attempt("up", "--profile", "dev", project)


def fetch(vcr: Vcr, project: Path) -> Done:
    locked = json.loads((project / "vcr.lock").read_text())
    locked["bases"]["busybox"]["archs"]["riscv64"][0]["sha256"] = "0" * 64
    (project / "vcr.lock").write_text(json.dumps(locked))
    return vcr.attempt("build", project)


def bug(vcr: Vcr, project: Path) -> Done:
    argv = [sys.executable, "-c", FAULT, "doctor"]
    return subprocess.run(argv, env=vcr.env, capture_output=True, text=True, check=False)


def interrupted(vcr: Vcr, project: Path) -> Done:
    child = vcr.spawn("--json", "export", "prod", "--nbd", "tcp:0", EXAMPLE)
    assert child.stdout is not None
    assert child.stdout.readline()  # it serves the drive, until it is told to end
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


CASES: dict[ExitCode, tuple[Callable[[Vcr, Path], Done], str]] = {
    ExitCode.OK: (ok, ""),
    ExitCode.FAILED: (failed, "there is no user 'alice' in the image"),
    ExitCode.USAGE: (usage, "did you mean `vcr build`?"),
    ExitCode.MISMATCH: (mismatch, "the rung image differs"),
    ExitCode.LOCK: (lock, "there is no vcr.lock"),
    ExitCode.HOST: (host, "this host lacks: nix"),
    ExitCode.UNHEALTHY: (unhealthy, "exit app rc=3"),
    ExitCode.FETCH: (fetch, "sha256:" + "0" * 64),
    ExitCode.BUG: (bug, "a bug in vcr"),
    ExitCode.INTERRUPTED: (interrupted, "interrupted"),
}


def test_the_table_has_every_exit_code() -> None:
    assert CASES.keys() == set(ExitCode)


@pytest.mark.parametrize("code", CASES, ids=lambda code: f"{code.value}-{code.name.lower()}")
def test_an_exit_code(vcr: Vcr, project: Path, code: ExitCode) -> None:
    run, words = CASES[code]
    done = run(vcr, project)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert ("error: " in done.stderr) is (code not in {ExitCode.OK, ExitCode.INTERRUPTED})
