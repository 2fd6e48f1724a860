"""What is known of the steps of one architecture while they are locked, and what is still to do."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from vcr.build.contents import Contents, with_contents
from vcr.build.lent import answers_of, is_for_one_arch, lent_to
from vcr.build.step_inputs import runs_below, step_inputs
from vcr.errors import VcrError
from vcr.lock.recorder import Answers, Recorder
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedBody, LockedRun
from vcr.model.plan import Plan, Run
from vcr.sandbox import run as step

# Commands of clients that ask the network, as nearly every Dockerfile has them. A step that has
# none of them is tried without a network first: most of these need none.
ASKS = re.compile(
    r"\b(?:apt|apt-get|apk|dnf|microdnf|yum|pip3?|uv(?: pip)?|npm|pnpm|yarn(?:pkg)?|bundle|composer"
    r"|gem|cargo|poetry|pipenv)\s+(?:-\S+\s+)*(?:update|add|install|ci|i|fetch|sync)\b"
    r"|\byarn(?:pkg)?(?:\s+-\S+)*\s*(?:$|[;&|])"  # without a command it installs
    r"|\bgo (?:mod download|get|install)\b|\bgit (?:-\S+ )*clone\b"
    r"|\b(?:curl|wget)\b[^;&|\n]*https?://"
)


@dataclass(frozen=True)
class Steps:
    """The RUNs of a plan: what decides each, and which have to be there before it."""

    plan: Plan
    runs: dict[str, Run]
    inputs: dict[str, str]
    below: dict[str, frozenset[str]]

    @classmethod
    def of(cls, plan: Plan, cache_dir: Path) -> "Steps":
        """Return those of PLAN; raises UsageError for a context that cannot be read."""
        runs = {i: layer for i, layer in plan.layers.items() if isinstance(layer, Run)}
        if not runs:
            return cls(plan, {}, {}, {})
        whole = with_contents(plan, Contents.of(Path(plan.context), cache_dir))
        return cls(plan, runs, step_inputs(whole), runs_below(plan))

    def ready(self, done: Collection[str]) -> list[str]:
        """Return the layers that can be made when those that are DONE are there.

        Of the same command on several layers, one after the other: answers to one may do for all.
        """
        found, keys = [], set()
        for ident, run in self.runs.items():
            if ident not in done and run.key not in keys:
                keys.add(run.key)
                found += [ident] if self.below[ident] <= set(done) else []
        return found


@dataclass
class Session:
    """What is known of the steps of one architecture while they are locked."""

    lock: Lock
    arch: Arch
    lenders: tuple[Arch, ...] = ()  # whose steps are locked already, as they are now
    # layers that were made of what is locked → their inputs then
    done: dict[str, str] = field(default_factory=dict)
    recorded: dict[str, Recorder] = field(default_factory=dict)  # by layer
    fresh: set[str] = field(default_factory=set)  # keys of what was recorded, or is borrowed
    # layers that were tried with answers of a lender → what was locked for them before
    borrowed: dict[str, LockedRun | None] = field(default_factory=dict)
    refused: dict[str, VcrError] = field(default_factory=dict)  # why one has to be recorded
    is_new: bool = field(init=False)  # whether nothing was locked for ARCH

    def __post_init__(self) -> None:
        self.is_new = not self.lock.runs.get(self.arch)

    def entry(self, run: Run) -> LockedRun | None:
        """Return what is locked for RUN."""
        return self.lock.runs.get(self.arch, {}).get(run.key)

    def put(self, run: Run, entry: LockedRun | None) -> None:
        """Lock ENTRY for RUN, or nothing."""
        known = {k: v for k, v in self.lock.runs.get(self.arch, {}).items() if k != run.key}
        known |= {run.key: entry} if entry else {}
        runs = {each: of for each, of in {**self.lock.runs, self.arch: known}.items() if of}
        self.lock = self.lock.model_copy(update={"runs": runs})

    def is_to_record(self, steps: Steps, ident: str) -> bool:
        """Return whether the layer IDENT is to be recorded without trying it offline first."""
        run = steps.runs[ident]
        entry = self.entry(run)
        if run.network == "none" or ident in self.recorded:
            return False
        if ident in self.refused:
            return True
        if entry is None:  # of what surely asks, without answers it only fails
            return ASKS.search(" ".join((*run.argv, run.script))) is not None
        is_other = bool(entry.inputs) and steps.inputs[ident] not in entry.inputs
        is_above = not steps.below[ident].isdisjoint(self.recorded)
        return run.key not in self.fresh and (is_other or is_above)

    def borrow(self, steps: Steps, ident: str) -> bool:
        """Lock what a lender has for the layer IDENT instead of recording it; return whether.

        It is to be tried then: by `refuse`, it is as before, and will be recorded.
        """
        run = steps.runs[ident]
        others = (i for i, each in steps.runs.items() if each.key == run.key)
        lent = lent_to(run, self.lock, self.lenders)
        # Of an architecture that was locked before, what has no answers may ask for nothing.
        is_wanted = self.is_new or self.is_to_record(steps, ident)
        if lent is None or ident in self.borrowed or not is_wanted:
            return False
        if any(i in self.done or i in self.recorded for i in others):
            return False  # what is locked for it is for them, too
        if is_for_one_arch(lent, self.arch):
            return False
        self.borrowed[ident] = self.entry(run)
        self.refused.pop(ident, None)
        self.fresh.add(run.key)
        self.put(run, lent.model_copy(update={"inputs": ()}))
        return True

    def refuse(self, steps: Steps, ident: str, error: VcrError) -> None:
        """Note that the layer IDENT cannot be made of what is locked, by ERROR."""
        self.refused[ident] = error
        run = steps.runs[ident]
        if ident in self.borrowed and run.key in self.fresh:
            self.fresh.discard(run.key)
            self.put(run, self.borrowed[ident])

    def lent(self, run: Run) -> Answers:
        """Return the answers that RUN need not ask the network for, while it is recorded."""
        found = lent_to(run, self.lock, self.lenders)
        return answers_of(found, self.lock) if found else {}

    def take(self, steps: Steps, ident: str, recorder: Recorder) -> None:
        """Lock what RECORDER has of the layer IDENT."""
        run = steps.runs[ident]
        known = self.entry(run)
        # The same command on other layers may ask for something else: both are kept.
        others = (i for i, each in steps.runs.items() if each.key == run.key and i != ident)
        is_shared = any(other in self.done or other in self.recorded for other in others)
        before = known.exchanges if known and is_shared else ()
        asked = (*before, *(e for e in recorder.exchanges if e not in before))
        self.recorded[ident] = recorder
        self.fresh.add(run.key)
        bodies = {**recorder.bodies, **self.lock.bodies}
        self.lock = self.lock.model_copy(update={"bodies": bodies})
        self.put(run, LockedRun(command=step.title(run.argv), exchanges=asked) if asked else None)

    def finished(self, steps: Steps, before: Lock) -> Lock:
        """Return the lock without what no step asks for any more, in an order that says nothing.

        Each entry says what it was recorded for. Of bodies that two steps got at two addresses, the
        lock has the address that it had BEFORE, or that of the first step.
        """
        runs = steps.runs
        of_key: dict[str, set[str]] = {}
        for ident, run in runs.items():
            of_key.setdefault(run.key, set()).add(self.done[ident])
        for run in {run.key: run for run in runs.values()}.values():
            if entry := self.entry(run):
                inputs = tuple(sorted(of_key[run.key]))
                self.put(run, entry.model_copy(update={"inputs": inputs}))
        bodies = dict[str, LockedBody]()
        for ident in reversed(runs):
            if ident in self.recorded:
                bodies |= self.recorded[ident].bodies
        bodies |= before.bodies
        lock = self.lock.model_copy(update={"bodies": self.lock.bodies | bodies})
        return _pruned(lock, self.arch, of_key.keys())


def _pruned(lock: Lock, arch: Arch, keys: Collection[str]) -> Lock:
    """Drop what no step of ARCH asks for any more, and bodies nobody refers to."""
    kept = {key: run for key, run in lock.runs.get(arch, {}).items() if key in keys}
    runs = {**lock.runs, arch: kept}
    runs = {each: found for each, found in runs.items() if found}
    used = {e.sha256 for found in runs.values() for run in found.values() for e in run.exchanges}
    bodies = {sha256: body for sha256, body in lock.bodies.items() if sha256 in used}
    return lock.model_copy(update={"runs": runs, "bodies": bodies})
