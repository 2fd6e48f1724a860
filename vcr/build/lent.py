"""What the step of one architecture was answered, lent to the same step of the next.

Most steps ask for the same on every architecture. `vcr lock` tries a step with the answers of an
architecture that it has locked just before; only a step that asks for more is recorded, and only
what is missing comes from the network. So indexes that change meanwhile are the same for all.
"""

import re
from collections.abc import Sequence

from vcr.lock.recorder import Answers
from vcr.model.arch import MACHINES, Arch
from vcr.model.lockfile import Lock, LockedRun
from vcr.model.plan import Run


def lent_to(run: Run, lock: Lock, lenders: Sequence[Arch]) -> LockedRun | None:
    """Return what LOCK has for RUN of the first of LENDERS that has something."""
    found = (lock.runs.get(arch, {}).get(run.key) for arch in lenders)
    return next((entry for entry in found if entry is not None), None)


def is_for_one_arch(entry: LockedRun, arch: Arch) -> bool:
    """Return whether ENTRY has an address that names another architecture than ARCH.

    Then ARCH asks for another surely (`binary-riscv64/Packages`): trying is in vain.
    """
    others = "|".join(name for each, name in _NAMES.items() if each is not arch)
    named = re.compile(rf"(?:^|[^a-z0-9])(?:{others})(?:[^a-z0-9]|$)")
    return any(named.search(exchange.url.lower()) for exchange in entry.exchanges)


_NAMES = {arch: "|".join(sorted({arch, machine})) for arch, machine in MACHINES.items()}


def answers_of(entry: LockedRun, lock: Lock) -> Answers:
    """Return the answers of ENTRY by their requests, each with its body in LOCK.

    Without requests that had several answers: which one is the next is known in a replay only.
    """
    answers: Answers = {}
    several = set[tuple[str, ...]]()
    for exchange in entry.exchanges:
        key = exchange.method, exchange.url, exchange.accept, exchange.body
        several |= {key} & answers.keys()
        answers[key] = exchange, lock.bodies[exchange.sha256]
    return {key: answer for key, answer in answers.items() if key not in several}
