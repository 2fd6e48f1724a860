"""`lock`: every input of a project, locked by hash; comparing the lock with its sources."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vcr.app.context import Context
from vcr.atomic import write_bytes, write_text
from vcr.build.builder import Builder
from vcr.build.lock_runs import StepLocker, check_runs
from vcr.errors import FetchError, LockError, MismatchError
from vcr.lock.audit import Auditor
from vcr.lock.bases import BaseLocker
from vcr.lock.bodies import BodyStore
from vcr.lock.debian.archive import Reader
from vcr.lock.git import GitStore
from vcr.lock.known import Known, unknown_runs
from vcr.lock.oci import ImageStore
from vcr.lock.read import current_lock, load_lock
from vcr.lock.recorder import Recorder
from vcr.lock.secrets.placeholders import Secrets
from vcr.lock.secrets.spilled import check_spilled
from vcr.lock.sources import Sources
from vcr.lock.vanishing import vanishing
from vcr.lock.write import Locker, summarise
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, read_lock_file
from vcr.model.profile import SEALED_ARCHS
from vcr.model.project import Project
from vcr.planner.platform import FIX, for_targets, shipped_for
from vcr.progress import Step
from vcr.tools.apt import mirrors
from vcr.tools.git import Git
from vcr.tools.gpgv import Gpgv
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo
from vcr.words import counted

SHOWN_CHANGES = 20
# Of which no machine can be sealed.
OTHERS = tuple(arch for arch in Arch if arch not in SEALED_ARCHS)


@dataclass(frozen=True)
class Locked:
    """The result of locking a project."""

    lock: Lock
    changed: bool  # whether vcr.lock was written
    changes: tuple[str, ...]  # what is new in it, as text


@dataclass(frozen=True)
class Audited:
    """The result of comparing a lock with its sources; each entry is a text."""

    compared: int  # entries
    differences: tuple[str, ...]
    unasked: tuple[str, ...]  # whose source did not answer, and why
    changing: tuple[str, ...]  # at addresses that may change, so they were not compared

    def check(self) -> None:
        """Raise MismatchError when an entry differs, FetchError when one was not compared."""
        if self.differences:
            raise MismatchError(
                "vcr.lock does not agree with its sources",
                details=[("", each) for each in self.differences[:SHOWN_CHANGES]],
                why=counted(len(self.differences), "entry differs", "entries differ"),
                fix="do not trust this vcr.lock; `vcr lock --update` writes it again",
            )
        if self.unasked:
            raise FetchError(
                counted(len(self.unasked), "entry", "entries") + " could not be compared",
                details=[("", each) for each in self.unasked[:SHOWN_CHANGES]],
                fix="use a network that reaches their sources",
            )


def lock(
    context: Context,
    *,
    archs: Sequence[Arch] = (),
    secrets: Secrets | None = None,
    update: bool = False,
    export: Path | None = None,
) -> Locked:
    """Resolve every input of the project, write vcr.lock, and return its content.

    The requests of RUN are locked for ARCHS, by default for the locked ones and riscv64. SECRETS
    are those of `--mount=type=secret`. UPDATE also resolves again what did not change. EXPORT is a
    directory that gets all answers to RUN. Raises UsageError, FetchError, LockError, and VcrError
    when a step fails.
    """
    project, given = context.load_project(), secrets or Secrets()
    for where in filter(None, (shipped_for(project, arch) for arch in OTHERS)):
        context.ui.warn(f"{where}: there will be no prod machine of it; {FIX}")
    old = old_lock(project, context.ui.warn)
    with context.ui.step("lock") as step:
        locker = Locker(
            _base_locker(context, step.line),
            _known(context),
            step.line,
            context.ui.warn,
            partial(_git_store, context),
        )
        new = locker.lock(project, old, update=update)
        step.because(f"{counted(len(new.inputs), 'input')} locked")
    new, wanted = for_targets(project, new, archs or sorted({Arch.RISCV64, *new.runs}))
    new = _lock_steps(context, project, given, new, wanted)
    check_spilled(new, given, context.settings.cache_dir / "bodies")
    text = new.to_text()
    if changed := old is None or text != old.to_text():
        write_text(project.lock_file, text)
    if export is not None:
        _export(context, new, export)
    for each in vanishing(new) if changed and export is None else ():
        context.ui.warn(each)
    return Locked(new, changed, tuple(summarise(old, new)))


def check_lock(context: Context) -> None:
    """Raise LockError unless vcr.lock is up to date, and UsageError without a project."""
    project = context.load_project()
    check_runs(project, load_lock(project))


def audit_lock(context: Context) -> Audited:
    """Ask every source again and return how its answer compares with vcr.lock.

    Raises UsageError, LockError. The result has the entries that differ, and the sources that do
    not answer.
    """
    project = context.load_project()
    current = current_lock(project)
    with context.ui.step("audit") as step:
        sources = Sources(mirrors(), context.settings.mirrors)
        bases, known = _base_locker(context, step.line), _known(context)
        found = Auditor(bases, known, sources, step.line, partial(_git_store, context)).audit(
            project, current
        )
        compared = counted(found.compared, "entry", "entries")
        step.because(f"{compared} compared with the source")
    return Audited(
        found.compared, tuple(found.differences), tuple(found.unasked), tuple(found.changing)
    )


def _lock_steps(
    context: Context, project: Project, secrets: Secrets, lock: Lock, archs: Sequence[Arch]
) -> Lock:
    """Return LOCK with what the steps of ARCHS ask for."""
    locked = lock
    for number, arch in enumerate(archs):
        with context.ui.step(f"steps {arch}") as step:
            locker = _step_locker(context, project, secrets, step)
            locked = locker.lock(locked, arch, lenders=tuple(archs[:number]))
            asked = sum(len(run.exchanges) for run in locked.runs.get(arch, {}).values())
            step.because(f"{counted(asked, 'answer')} of the network locked")
    for command in unknown_runs(_known(context), lock, locked):
        context.ui.warn(f"answers of {command} stay as in vcr.lock: see `vcr lock --audit`")
    return locked


def _git_store(context: Context) -> GitStore:
    nix = Nix(context.settings)
    return GitStore(lambda: Git.of_toolset(nix.toolset("git")), nix, context.settings.mirrors)


def old_lock(project: Project, warn: Callable[[str], None]) -> Lock | None:
    """Return the lock that PROJECT has, None for one that has to be written again.

    WARN is told why what it has cannot be kept. Raises LockError if nothing can be written there.
    """
    try:
        return read_lock_file(project.lock_file)
    except LockError as error:
        if project.lock_file.is_dir():
            raise
        if project.lock_file.exists():
            warn(f"{error.what} ({error.why}): every input is resolved again")
        return None


def _known(context: Context) -> Known:
    return Known(context.settings.cache_dir / "resolved")


def _base_locker(context: Context, show: Callable[[str], None]) -> BaseLocker:
    nix = Nix(context.settings)

    def archive() -> Reader:
        gpgv = Gpgv.of_toolset(nix.toolset("verify"))
        return Reader(gpgv, mirrors(), context.settings.cache_dir)

    def images() -> ImageStore:
        return ImageStore(Skopeo.pinned(nix), nix)

    return BaseLocker(archive, images, show)


def _step_locker(context: Context, project: Project, secrets: Secrets, step: Step) -> StepLocker:
    settings = context.settings
    sources = Sources(mirrors(), settings.mirrors)
    store = BodyStore(settings.cache_dir / "bodies", Nix(settings))

    def recorder(tell: Callable[[str], None]) -> Recorder:
        return Recorder(sources, store, secrets, tell)

    builder = Builder(settings, context.ui, project)
    return StepLocker(builder, project, recorder, secrets, step)


def _export(context: Context, lock: Lock, directory: Path) -> None:
    """Copy the bodies of LOCK to DIRECTORY, each called by its hash; raises LockError."""
    for sha256, body in lock.bodies.items():
        kept = context.settings.cache_dir / "bodies" / sha256 / body.name
        if not kept.exists():
            raise LockError(
                f"{body.name} is not in the cache", fix="run `vcr lock --update --export DIR`"
            )
        if not (directory / sha256).exists():
            write_bytes(directory / sha256, kept.read_bytes())
    context.ui.note(f"{counted(len(lock.bodies), 'file')} in {os.fspath(directory)}")
