"""`vcr lock`: resolve every input and write vcr.lock; `--check` and `--audit` compare."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, project_argument
from vcr.errors import FetchError, LockError, MismatchError
from vcr.model.arch import Arch

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.build.lock_runs import StepLocker
    from vcr.lock.bases import BaseLocker
    from vcr.lock.known import Known
    from vcr.lock.secrets.placeholders import Secrets
    from vcr.model.lockfile import Lock
    from vcr.model.project import Project

SHOWN_CHANGES = 20


@click.command(cls=Command)
@project_argument
@click.option("--check", is_flag=True, help="Only tell whether vcr.lock is up to date (exit 4).")
@click.option(
    "--audit",
    is_flag=True,
    help="Ask every source again for what vcr.lock says it had, and compare (exit 3).",
)
@click.option("--update", is_flag=True, help="Resolve everything anew, also what did not change.")
@click.option(
    "--arch",
    "archs",
    multiple=True,
    type=click.Choice([arch.value for arch in Arch]),
    help="Lock what RUN asks the network for on this architecture; may be repeated"
    " (default: those that are locked, and riscv64).",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="id=ID,src=FILE[,host=HOST]",
    help="A secret that a RUN --mount=type=secret stands for, and, if it is not for any, the host"
    " it is for; may be repeated.",
)
@click.option(
    "--export",
    "export",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also copy all that RUN was answered to DIR, for VCR_FROM elsewhere.",
)
@click.pass_obj
def lock(
    app: App,
    *,
    check: bool,
    audit: bool,
    update: bool,
    archs: tuple[str, ...],
    secrets: tuple[str, ...],
    export: Path | None,
) -> None:
    """Resolve every input of the project and write vcr.lock; builds only read it."""
    from vcr.atomic import write_text
    from vcr.lock.secrets.given import read_secrets
    from vcr.lock.secrets.spilled import check_spilled
    from vcr.lock.write import Locker

    project = app.load_project()
    if check:
        _check(app, project)
    if audit:
        _audit(app, project)
    if check or audit:
        return
    given = read_secrets(secrets)
    old = _old_lock(project)
    with app.ui.step("lock") as step:
        locker = Locker(_base_locker(app, step.line), _known(app), step.line, app.ui.warn)
        new = locker.lock(project, old, update=update)
        step.because(f"{len(new.inputs)} inputs closed")
    wanted = [Arch(name) for name in archs] or sorted({Arch.RISCV64, *new.runs})
    new = _lock_steps(app, project, given, new, wanted)
    check_spilled(new, given, app.settings.cache_dir / "bodies")
    text = new.to_text()
    changed = old is None or text != old.to_text()
    if changed:
        write_text(project.lock_file, text)
    if export is not None:
        _export(app, new, export)
    _tell(app, old, new, changed=changed)


def _tell(app: App, old: "Lock | None", new: "Lock", *, changed: bool) -> None:
    """Say what NEW, which was written if it CHANGED, has that OLD has not."""
    from vcr.lock.write import summarise

    lines = summarise(old, new)
    for line in lines[:SHOWN_CHANGES]:
        app.ui.note(line)
    if len(lines) > SHOWN_CHANGES:
        app.ui.note(f"and {len(lines) - SHOWN_CHANGES} more changes")
    app.ui.note(f"vcr.lock {'written' if changed else 'is up to date'}")
    if app.ui.is_json:
        app.ui.json("lock", {"changed": changed, "changes": lines, "epoch": new.epoch})


def _lock_steps(
    app: App, project: "Project", secrets: "Secrets", lock: "Lock", archs: Sequence[Arch]
) -> "Lock":
    """Return LOCK with what the steps of ARCHS ask for."""
    from vcr.lock.known import unknown_runs

    locked = lock
    for arch in archs:
        with app.ui.step(f"steps {arch}") as step:
            locked = _step_locker(app, project, secrets, step.line).lock(locked, arch)
            asked = sum(len(run.exchanges) for run in locked.runs.get(arch, {}).values())
            step.because(f"{asked} answers of the network closed")
    for command in unknown_runs(_known(app), lock, locked):
        app.ui.warn(f"answers of {command} stay as vcr.lock has them: see `vcr lock --audit`")
    return locked


def _check(app: App, project: "Project") -> None:
    from vcr.build.lock_runs import check_runs
    from vcr.lock.read import load_lock

    check_runs(project, load_lock(project))
    app.ui.note("vcr.lock is up to date")
    if app.ui.is_json:
        app.ui.json("lock", {"changed": False, "changes": []})


def _audit(app: App, project: "Project") -> None:
    """Compare the lock of PROJECT with its sources; raises MismatchError, FetchError."""
    from vcr.lock.audit import Auditor
    from vcr.lock.read import current_lock
    from vcr.lock.sources import Sources
    from vcr.tools.apt import mirrors

    lock = current_lock(project)
    with app.ui.step("audit") as step:
        sources = Sources(mirrors(), app.settings.mirrors)
        bases, known = _base_locker(app, step.line), _known(app)
        found = Auditor(bases, known, sources, step.line).audit(project, lock)
        step.because(f"{found.compared} entries compared with their sources")
    if app.ui.is_json:
        rest = {"compared": found.compared, "differences": found.differences}
        app.ui.json("lock", {"changed": False, "changes": [], **rest, "unasked": found.unasked})
    for each in found.changing:
        app.ui.detail(f"not compared, since it may change: {each}")
    if found.changing:
        app.ui.note(f"{len(found.changing)} answers are of addresses that may change")
    if found.differences:
        raise MismatchError(
            "vcr.lock is not what its sources had",
            details=[("", each) for each in found.differences[:SHOWN_CHANGES]],
            why=f"{len(found.differences)} entries differ",
            fix="do not trust this vcr.lock; `vcr lock --update` writes it anew",
        )
    if found.unasked:
        raise FetchError(
            f"{len(found.unasked)} entries could not be compared",
            details=[("", each) for each in found.unasked[:SHOWN_CHANGES]],
            fix="use a network that reaches their sources",
        )
    app.ui.note("vcr.lock is what its sources had")


def _old_lock(project: "Project") -> "Lock | None":
    from vcr.model.lockfile import read_lock_file

    try:
        return read_lock_file(project.lock_file)
    except LockError:
        if project.lock_file.is_dir():  # nothing can be written over it
            raise
        return None  # missing or unreadable: everything is resolved anew


def _known(app: App) -> "Known":
    from vcr.lock.known import Known

    return Known(app.settings.cache_dir / "resolved")


def _base_locker(app: App, show: Callable[[str], None]) -> "BaseLocker":
    from vcr.lock.bases import BaseLocker
    from vcr.lock.debian.archive import Reader
    from vcr.lock.oci import ImageStore
    from vcr.tools.apt import mirrors
    from vcr.tools.gpgv import Gpgv
    from vcr.tools.nix import Nix
    from vcr.tools.skopeo import Skopeo

    nix = Nix(app.settings)

    def archive() -> Reader:
        return Reader(Gpgv.of_toolset(nix.toolset("verify")), mirrors(), app.settings.cache_dir)

    def images() -> ImageStore:
        return ImageStore(Skopeo.of_toolset(nix.toolset("oci")), nix)

    return BaseLocker(archive, images, show)


def _step_locker(
    app: App, project: "Project", secrets: "Secrets", show: Callable[[str], None]
) -> "StepLocker":
    from vcr.build.builder import Builder
    from vcr.build.lock_runs import StepLocker
    from vcr.lock.bodies import BodyStore
    from vcr.lock.recorder import Recorder
    from vcr.lock.sources import Sources
    from vcr.tools.apt import mirrors
    from vcr.tools.nix import Nix

    settings = app.settings
    sources = Sources(mirrors(), settings.mirrors)
    store = BodyStore(settings.cache_dir / "bodies", Nix(settings))

    def recorder(tell: Callable[[str], None]) -> Recorder:
        return Recorder(sources, store, secrets, tell)

    return StepLocker(Builder(settings, app.ui, project), project, recorder, secrets, show)


def _export(app: App, lock: "Lock", directory: Path) -> None:
    """Copy the bodies of LOCK to DIRECTORY, each called by its hash; raises LockError."""
    from vcr.atomic import write_bytes

    for sha256, body in lock.bodies.items():
        kept = app.settings.cache_dir / "bodies" / sha256 / body.name
        if not kept.exists():
            raise LockError(
                f"{body.name} is not in the cache", fix="run `vcr lock --update --export DIR`"
            )
        if not (directory / sha256).exists():
            write_bytes(directory / sha256, kept.read_bytes())
    app.ui.note(f"{len(lock.bodies)} files in {os.fspath(directory)}")
