"""`bin/fuzz [--list] [TARGET...] [SECONDS]`: fuzzes targets, each for SECONDS, 60 if not given.

Without a target, all in turn. What is found goes into fuzz/corpus. Exits with 1 when something was.
"""

import os
import sys
import time
from pathlib import Path

from fuzz import golang
from fuzz.engine import fuzz
from fuzz.targets import TARGETS

SECONDS = 60.0
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vcr"


def main(words: list[str]) -> int:
    """Do what WORDS say."""
    if words and words[0] in {"-h", "--help"}:
        print(__doc__)
        return 0
    names = [*TARGETS, *golang.names()]
    if words == ["--list"]:
        print("\n".join(names))
        return 0
    seconds = float(words.pop()) if words and words[-1].replace(".", "", 1).isdecimal() else SECONDS
    unknown = [word for word in words if word not in names]
    if unknown:
        print(
            f"error: there is no target {unknown[0]}; `bin/fuzz --list` names them", file=sys.stderr
        )
        return 2
    found = sum(_one(name, seconds) for name in words or names)
    return 1 if found else 0


def _one(name: str, seconds: float) -> int:
    """Fuzz the target NAME; return how many findings there are."""
    begin, more = time.monotonic(), ""
    if name in TARGETS:
        result = fuzz(TARGETS[name], seconds, CACHE / "fuzz", say)
        executions, findings = result.executions, len(result.findings)
        more = f", {result.reached} lines and branches, {result.inputs} inputs"
    else:
        executions, findings = golang.fuzz(name, seconds)
    took = time.monotonic() - begin
    say(f"{name:24} {executions:>9} executions {took:6.1f} s, {findings} findings{more}")
    return findings


def say(text: str) -> None:
    """Print TEXT at once."""
    print(text, flush=True)


sys.exit(main(sys.argv[1:]))
