"""Go's own fuzzing of the programs in guest/: their functions Fuzz... of fuzz_test.go."""

import os
import re
import subprocess
from pathlib import Path

from fuzz.limits import REPOSITORY

GUEST = REPOSITORY / "guest"
FUNCTION = re.compile(r"^func (Fuzz\w+)\(", re.MULTILINE)
EXECUTIONS = re.compile(r"execs: (\d+)")
TAGS = {"agent": "debug"}  # the files of debug profiles, too
PREFIX = "go:"


def names() -> list[str]:
    """Return the targets, go:PROGRAM:FUNCTION."""
    return [
        f"{PREFIX}{path.parent.name}:{function}"
        for path in sorted(GUEST.glob("*/*fuzz_test.go"))
        for function in FUNCTION.findall(path.read_text(encoding="utf-8"))
    ]


def environment(compiler: Path) -> dict[str, str]:
    """Return what Go runs with: the network and modules of others are not needed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return {
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache / "vcr/go"),
        "GOFLAGS": "-trimpath -buildvcs=false",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "HOME": os.environ.get("HOME", "/"),
        "PATH": f"{compiler.parent}:{os.environ.get('PATH', '')}",
    }


def fuzz(name: str, seconds: float) -> tuple[int, int]:
    """Fuzz the target NAME on one CPU; return executions and findings. Go keeps these itself."""
    _, program, function = name.split(":")
    compiler = Path(os.environ["VCR_FUZZ_GO"])
    argv = [
        str(compiler),
        "test",
        f"-tags={TAGS.get(program, '')}",
        "-run=^$",
        f"-fuzz=^{function}$",
        f"-fuzztime={seconds:g}s",
        "-parallel=1",
        ".",
    ]
    done = subprocess.run(
        argv,
        cwd=GUEST / program,
        env=environment(compiler),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout[-4000:], flush=True)
    return int((EXECUTIONS.findall(done.stdout) or ["0"])[-1]), int(done.returncode != 0)
