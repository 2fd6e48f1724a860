"""Says of a RUN that failed what it lacks: a program of its base, or answers for its CPU."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vcr.errors import ExitCode, VcrError
from vcr.lock.debian.commands import advice
from vcr.model.arch import Arch
from vcr.model.plan import Debs, Plan, Run

# What shells say, with what stands before it: dash, busybox, bash, zsh; and Go's os/exec.
_ABSENT = re.compile(
    r"(?:^|[:\s])(?:line )?(?:[0-9]+: )?([A-Za-z0-9_./+-]+): (?:command )?not found\s*\Z"
    r"|exec: \"([^\"]+)\": executable file not found"
)


@dataclass(frozen=True)
class Absent:
    """Why a step failed, and what to do."""

    why: str
    fix: str


def explained(plan: Plan, ident: str, what: str, error: VcrError) -> Absent:
    """Return why the layer IDENT of PLAN failed, as WHAT and ERROR say, and what to do."""
    if error.code is ExitCode.LOCK and plan.arch is not Arch.RISCV64:
        fix = f"run `vcr lock --arch {plan.arch}`: RUN is locked for each architecture"
        return Absent(error.why, f"{fix}, by default for riscv64")
    said = (*error.tail, error.why)
    return absent(plan, ident, what, said) or Absent(error.why, error.fix)


def absent(plan: Plan, ident: str, what: str, said: Sequence[str]) -> Absent | None:
    """Return what the layer IDENT of PLAN lacks, if it failed, as WHAT says, because of that.

    SAID is its last output. None where its base is an image, which does not have it either.
    """
    run = plan.layers.get(ident)
    if not isinstance(run, Run) or not run.lower:
        return None
    lowest, base = run.lower[0], plan.layers.get(run.lower[0])
    # 127 is a shell's exit code for this; a script may end with another.
    heard = [line for line in said if line.strip()]
    last = heard if "exited with 127" in what else heard[-1:]
    found = next((match for line in reversed(last) if (match := _ABSENT.search(line))), None)
    if found is None or not isinstance(base, Debs):
        return None
    command = (found[1] or found[2]).rpartition("/")[2]
    image = lowest.removeprefix("base.").removesuffix(f".{base.arch}")
    text = "\n".join((*run.argv, run.script))
    return Absent(
        f'{command} is not there: [base."{image}"] of vcr.toml, which stands for the image,'
        " has no package with it",
        advice(command, text, image),
    )
