"""Locks what RUN steps ask the network for: runs them once and records the answers.

A step that is locked, and of which nothing changed that decides it, is tried offline; so is one
that asks for nothing, as far as its words say. Any other is carried out with a network, beside
those of independent stages. What succeeds stays in the Nix store, so that the build after
`vcr lock` finds it there. The lock is the same whichever step ends first.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.atomic import scratch_directory
from vcr.build.absent import absent
from vcr.build.builder import Builder
from vcr.build.lock_session import Session, Steps
from vcr.build.recordings import Leash, Recordings, at_once
from vcr.command_log import hiding, noted
from vcr.errors import ExitCode, LockError, VcrError
from vcr.formats.cpio import write_initrd
from vcr.formats.failure import Failure
from vcr.formats.job import read_job
from vcr.lock.recorder import Answers, Recorder
from vcr.lock.secrets.placeholders import Secrets
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock
from vcr.model.plan import Plan, Run
from vcr.model.profile import DEFAULT
from vcr.model.project import Project
from vcr.planner.project import make_plan
from vcr.progress import Step
from vcr.sandbox import build_machine
from vcr.sandbox import run as step
from vcr.sandbox.qemu.memory import machine_memory
from vcr.ui import human_size
from vcr.words import counted


@dataclass
class StepLocker:
    """Locks the steps of one project, an architecture at a time."""

    builder: Builder
    project: Project
    recorder: Callable[[Callable[[str], None]], Recorder]
    secrets: Secrets
    shown: Step

    def lock(self, lock: Lock, arch: Arch, lenders: tuple[Arch, ...] = ()) -> Lock:
        """Return LOCK with all that the steps for ARCH ask for; raises VcrError without secrets.

        What LENDERS, whose steps are locked, were answered is tried before anything is recorded.
        """
        try:
            with hiding(self.secrets.hide_text):
                return self._lock(Session(lock, arch, lenders))
        except VcrError as error:
            raise self.secrets.hidden(error) from None

    def _lock(self, session: Session) -> Lock:
        lock, steps = session.lock, self._steps(session)
        with Recordings(at_once(steps.plan.build.memory_mib)) as under_way:
            while len(session.done) < len(steps.runs):
                idle = [i for i in steps.ready(session.done) if i not in under_way.parts]
                if [ident for ident in idle if session.borrow(steps, ident)]:
                    steps = self._steps(session)
                asking = [i for i in idle if session.is_to_record(steps, i)]
                for ident in asking[: under_way.room]:
                    self._start(session, under_way, steps, ident)
                # That takes a machine, too.
                offline = [i for i in idle if i not in asking and under_way.room]
                for ident in offline[:1]:
                    self._replay(session, steps, ident, under_way)
                for ident, recorder in under_way.ended(is_waiting=not offline):
                    session.take(steps, ident, recorder)
                steps = self._steps(session)
        return session.finished(steps, lock)

    def _steps(self, session: Session) -> Steps:
        plan = make_plan(self.project, session.lock, arch=session.arch, profile=DEFAULT)
        return Steps.of(plan, self.builder.settings.cache_dir)

    def _replay(self, session: Session, steps: Steps, ident: str, under_way: Recordings) -> None:
        """Make the layer IDENT of what is locked, or note that it has to be recorded."""
        run = steps.runs[ident]
        try:
            layer = self.builder.build_layer(
                steps.plan, ident, self.shown, hide=self.secrets.hide_text
            )
        except VcrError as error:
            entry, asks = session.entry(run), error.code is ExitCode.LOCK
            if asks and ident in session.recorded:
                raise LockError(
                    f"{run.origin}: {step.title(run.argv)} cannot be locked",
                    why=f"its requests are different each time: {error.why}",
                    fix="make it ask for fixed addresses, or ADD the file with --checksum",
                ) from None
            # It may fail only by answers that were recorded for something else.
            is_other = entry is not None and steps.inputs[ident] not in entry.inputs
            if not asks and (ident in session.recorded or not is_other):
                raise
            session.refuse(steps, ident, error)
            self.shown.drop_parts(under_way.parts.values())  # it did not fail: it is to ask
            return
        self._look_through(layer, run)
        session.done[ident] = steps.inputs[ident]

    def _look_through(self, layer: Path, run: Run) -> None:
        """Raise VcrError when a secret is in LAYER, the output of RUN, all the same."""
        for file in sorted(path for path in layer.rglob("*") if path.is_file()):
            if name := self.secrets.find_in_file(file):
                raise VcrError(
                    f"{run.origin}: {step.title(run.argv)} has the secret {name} in its layer",
                    why="the step got it in a form that the recorder did not see",
                    fix=f"remove it with `nix-store --delete {layer}`, and replace the secret",
                )

    def _start(self, session: Session, under_way: Recordings, steps: Steps, ident: str) -> None:
        """Begin to record the layer IDENT; raises VcrError for what is below it."""
        run, plan = steps.runs[ident], steps.plan
        hide = self.secrets.hide_text
        file = self.builder.build_layer(plan, ident, self.shown, part="jobs", hide=hide)
        job = read_job(step.Job, str(file))
        part = self.shown.part(hide(plan.titles.get(ident, step.title(run.argv))))
        lent = session.lent(run)
        under_way.start(
            ident, part, lambda leash: self._record(plan, ident, job, part, leash, lent)
        )

    def _record(
        self, plan: Plan, ident: str, job: step.Job, part: Step, leash: Leash, lent: Answers
    ) -> Recorder:
        """Run a step with a recorder that answers what is LENT; raises VcrError when it fails."""
        recorder = self.recorder(part.line)  # hides secrets itself
        recorder.lent = lent
        try:
            self._carry_out(plan, ident, job, part, leash, recorder)
        except VcrError:
            if leash.is_stopped or recorder.crash or not recorder.has_lent:
                raise
            # With what is new, it may not do: an index is another now, a token has expired.
            part.line("again, without the answers for another architecture")
            recorder = self.recorder(part.line)
            self._carry_out(plan, ident, job, part, leash, recorder)
        size = human_size(sum(body.size for body in recorder.bodies.values()))
        part.because(f"{counted(len(recorder.exchanges), 'answer')} of the network, {size}")
        part.finish()
        return recorder

    def _carry_out(
        self, plan: Plan, ident: str, job: step.Job, part: Step, leash: Leash, recorder: Recorder
    ) -> None:
        """Run a step of PLAN with RECORDER for its network; raises VcrError when it fails."""
        run, tail = plan.layers[ident], list[str]()
        assert isinstance(run, Run)  # noqa: S101 -- these are locked
        try:
            with scratch_directory() as scratch:
                result = self._boot(job, scratch, recorder, tail, part, leash)
            step.check(
                replace(result, refused=()),
                step.title(run.argv),
                disk_mib=job.machine.disk_mib,
            )
        except Failure as failure:
            report, problem = failure.report, recorder.problem
            said = absent(plan, ident, report["what"], (*tail, report["why"]))
            raise VcrError(
                f"{run.origin}: {report['what']}",
                why=said.why
                if said
                else report["why"] or (f"{problem.what}: {problem.why}" if problem else ""),
                fix=said.fix if said else (problem.fix if problem else "") or report["fix"],
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

    def _boot(
        self,
        job: step.Job,
        scratch: Path,
        recorder: Recorder,
        tail: list[str],
        part: Step,
        leash: Leash,
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
            with machine_memory(job.machine, scratch) as memory:
                argv = build_machine.command_line(
                    *(job.machine, initrd, scratch),
                    clock=build_machine.FREE,
                    mapping=mapping,
                    memory=memory,
                    fetch=scratch / "fetch",
                )
                argv += leash.hold(scratch)
                with noted(argv) as note:
                    result = build_machine.run(argv, scratch, show)
                    note.code = 0
            return result


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
