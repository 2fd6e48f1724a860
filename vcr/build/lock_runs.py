"""Locks what RUN steps ask the network for: runs them once and records the answers.

Steps are tried in order, offline and with what is locked already; only one that asks
for more is carried out with a network. What succeeds stays in the Nix store, so that
the build after `vcr lock` finds it there.
"""

import re
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from vcr.atomic import scratch_directory
from vcr.build.builder import Builder
from vcr.command_log import hiding, noted
from vcr.errors import ExitCode, LockError, VcrError
from vcr.formats.cpio import write_initrd
from vcr.formats.failure import Failure
from vcr.formats.job import read_job
from vcr.lock.recorder import Recorder
from vcr.lock.secrets.placeholders import Secrets
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedRun
from vcr.model.plan import Plan, Run
from vcr.model.profile import DEFAULT
from vcr.model.project import Project
from vcr.planner.project import make_plan
from vcr.progress import Step
from vcr.sandbox import build_machine
from vcr.sandbox import run as step
from vcr.ui import human_size
from vcr.words import counted

# Commands of clients that ask the network, as nearly every Dockerfile has them. A step that has
# none of them is tried without a network first: most of these need none.
ASKS = re.compile(
    r"\b(?:apt|apt-get|apk|dnf|microdnf|yum|pip3?|uv(?: pip)?|npm|pnpm|yarn(?:pkg)?|bundle|composer"
    r"|gem|cargo|poetry|pipenv)\s+(?:-\S+\s+)*(?:update|add|install|ci|i|fetch|sync)\b"
    r"|\byarn(?:pkg)?(?:\s+-\S+)*\s*(?:$|[;&|])"  # without a command it installs
    r"|\bgo (?:mod download|get|install)\b|\bgit (?:-\S+ )*clone\b"
    r"|\b(?:curl|wget)\b[^;&|\n]*https?://"
)


@dataclass
class StepLocker:
    """Locks the steps of one project, an architecture at a time."""

    builder: Builder
    project: Project
    recorder: Callable[[Callable[[str], None]], Recorder]
    secrets: Secrets
    shown: Step
    # keys of what was recorded → the layers it was recorded for
    _recorded: dict[str, set[str]] = field(default_factory=dict)

    def lock(self, lock: Lock, arch: Arch) -> Lock:
        """Return LOCK with all that the steps for ARCH ask for; raises VcrError without secrets."""
        try:
            with hiding(self.secrets.hide_text):
                return self._lock(lock, arch)
        except VcrError as error:
            raise self.secrets.hidden(error) from None

    def _lock(self, lock: Lock, arch: Arch) -> Lock:
        done: set[str] = set()
        while True:
            plan = make_plan(self.project, lock, arch=arch, profile=DEFAULT)
            runs = {i: layer for i, layer in plan.layers.items() if isinstance(layer, Run)}
            ident = next((ident for ident in runs if ident not in done), None)
            if ident is None:
                return _pruned(lock, arch, {run.key for run in runs.values()})
            run = runs[ident]
            if self._surely_asks(lock.runs.get(arch, {}), ident, run):
                lock = self._record(lock, arch, plan, ident, run)  # without answers it only fails
                continue
            try:
                layer = self.builder.build_layer(
                    plan, ident, self.shown, hide=self.secrets.hide_text
                )
                self._look_through(layer, run)
                done.add(ident)
            except VcrError as error:
                if error.code is not ExitCode.LOCK:
                    raise
                self.shown.drop_parts()  # it did not fail: it is to ask the network
                lock = self._record(lock, arch, plan, ident, run, error)

    def _surely_asks(self, locked: Collection[str], ident: str, run: Run) -> bool:
        """Return whether RUN asks the network; what it asks for is not LOCKED (keys of steps)."""
        if run.network == "none" or ident in self._recorded.get(run.key, ()):
            return False
        return run.key not in locked and ASKS.search(" ".join((*run.argv, run.script))) is not None

    def _look_through(self, layer: Path, run: Run) -> None:
        """Raise VcrError when a secret is in LAYER, the output of RUN, all the same."""
        for file in sorted(path for path in layer.rglob("*") if path.is_file()):
            if name := self.secrets.find_in_file(file):
                raise VcrError(
                    f"{run.origin}: {step.title(run.argv)} has the secret {name} in its layer",
                    why="the step got it in a form that the recorder did not see",
                    fix=f"remove it with `nix-store --delete {layer}`, and replace the secret",
                )

    def _record(
        self, lock: Lock, arch: Arch, plan: Plan, ident: str, run: Run, why: VcrError | None = None
    ) -> Lock:
        before = self._recorded.setdefault(run.key, set())
        if ident in before:
            raise LockError(
                f"{run.origin}: {step.title(run.argv)} cannot be locked",
                why=f"its requests are different each time: {why.why if why else ''}",
                fix="make it ask for fixed addresses, or ADD the file with --checksum",
            )
        recorder = self._carry_out(plan, ident, run)
        known = lock.runs.get(arch, {})  # whatever platform the stage of RUN is of
        # The same command on other layers may ask for something else: both are kept.
        exchanges = known[run.key].exchanges if before else ()
        before.add(ident)
        if not recorder.exchanges and not exchanges:
            return lock
        asked = (*exchanges, *(e for e in recorder.exchanges if e not in exchanges))
        entry = LockedRun(command=step.title(run.argv), exchanges=asked)
        runs = {**lock.runs, arch: {**known, run.key: entry}}
        return lock.model_copy(update={"runs": runs, "bodies": {**lock.bodies, **recorder.bodies}})

    def _carry_out(self, plan: Plan, ident: str, run: Run) -> Recorder:
        """Run a step with a recorder for its network; raises VcrError when it fails."""
        hide = self.secrets.hide_text
        file = self.builder.build_layer(plan, ident, self.shown, part="jobs", hide=hide)
        job = read_job(step.Job, str(file))
        tail: list[str] = []
        part = self.shown.part(hide(plan.titles.get(ident, step.title(run.argv))))
        recorder = self.recorder(part.line)  # hides secrets itself
        part.is_failing = True  # until it has ended well
        try:
            with scratch_directory() as scratch:
                result = self._boot(job, scratch, recorder, tail, part)
            step.check(replace(result, refused=()), step.title(run.argv))
        except Failure as failure:
            report = failure.report
            problem = recorder.problem
            raise VcrError(
                f"{run.origin}: {report['what']}",
                why=report["why"] or (f"{problem.what}: {problem.why}" if problem else ""),
                fix=(problem.fix if problem else "") or report["fix"],
                tail=tail,
                code=problem.code if problem else None,
            ) from None
        finally:
            if recorder.crash is not None:
                raise recorder.crash
        if recorder.problem is not None:  # the step did not mind, but its layer depends on it
            problem = recorder.problem
            raise VcrError(
                f"{run.origin}: {step.title(run.argv)} requests something that cannot be fetched",
                why=f"{problem.what}: {problem.why}",
                fix=problem.fix,
                code=problem.code,
            )
        size = human_size(sum(body.size for body in recorder.bodies.values()))
        part.because(f"{counted(len(recorder.exchanges), 'answer')} of the network, {size}")
        part.finish()
        return recorder

    def _boot(
        self, job: step.Job, scratch: Path, recorder: Recorder, tail: list[str], part: Step
    ) -> build_machine.Result:
        initrd = scratch / "initrd"
        mapping = step.mapping_of(job)
        request = step.request(job, mapping, network="record")
        tree = build_machine.job_tree(request, step.machine_files(job))
        write_initrd(initrd, Path(job.machine.initramfs), tree, job.epoch)

        def show(piece: bytes) -> None:
            lines = piece.decode("utf-8", "replace").splitlines()
            for line in self.secrets.hide_lines(lines):
                tail.append(line)
                del tail[:-30]
                part.line(line)

        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(scratch / "fetch"))
            listener.listen(1)
            recorder.start(listener)
            # Its time is the host's: a client that waits for the network must not time out.
            argv = build_machine.command_line(
                job.machine,
                initrd,
                scratch,
                clock=build_machine.FREE,
                mapping=mapping,
                fetch=scratch / "fetch",
            )
            with noted(argv) as note:
                result = build_machine.run(argv, scratch, show)
                note.code = 0
            return result


def _pruned(lock: Lock, arch: Arch, keys: set[str]) -> Lock:
    """Drop what no step of ARCH asks for any more, and bodies nobody refers to."""
    kept = {key: run for key, run in lock.runs.get(arch, {}).items() if key in keys}
    runs = {**lock.runs, arch: kept}
    runs = {each: found for each, found in runs.items() if found}
    used = {e.sha256 for found in runs.values() for run in found.values() for e in run.exchanges}
    bodies = {sha256: body for sha256, body in lock.bodies.items() if sha256 in used}
    return lock.model_copy(update={"runs": runs, "bodies": bodies})


def check_runs(project: Project, lock: Lock) -> None:
    """Raise LockError when LOCK has answers for a RUN that PROJECT has no more."""
    for arch, runs in lock.runs.items():
        plan = make_plan(project, lock, arch=arch, profile=DEFAULT)
        keys = {layer.key for layer in plan.layers.values() if isinstance(layer, Run)}
        for key, run in runs.items():
            if key not in keys:
                raise LockError(
                    "vcr.lock is out of date",
                    why=f"{run.command} changed since it was locked",
                    fix="run `vcr lock`",
                )
