"""`vcr lock`: resolve every input and write vcr.lock; `--check` only compares."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from vcr.cli.app import App, Command, project_argument
from vcr.errors import LockError

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.lock.write import Locker
    from vcr.model.lockfile import Lock
    from vcr.model.project import Project

SHOWN_CHANGES = 20


@click.command(cls=Command)
@project_argument
@click.option("--check", is_flag=True, help="Only tell whether vcr.lock is up to date (exit 4).")
@click.option("--update", is_flag=True, help="Resolve everything anew, also what did not change.")
@click.pass_obj
def lock(app: App, *, check: bool, update: bool) -> None:
    """Resolve every input of the project and write vcr.lock; builds only read it."""
    from vcr.atomic import write_text  # noqa: PLC0415
    from vcr.lock.write import summarise  # noqa: PLC0415
    from vcr.model.project import load_project  # noqa: PLC0415

    project = load_project(app.directory)
    if check:
        _check(app, project)
        return
    old = _old_lock(project)
    with app.ui.step("lock") as step:
        new = _locker(app, step.line).lock(project, old, update=update)
        step.because(f"{len(new.inputs)} inputs closed")
    text = new.to_text()
    changed = old is None or text != old.to_text()
    if changed:
        write_text(project.lock_file, text)
    lines = summarise(old, new)
    for line in lines[:SHOWN_CHANGES]:
        app.ui.note(line)
    if len(lines) > SHOWN_CHANGES:
        app.ui.note(f"and {len(lines) - SHOWN_CHANGES} more changes")
    app.ui.note(f"{project.lock_file.name} {'written' if changed else 'is up to date'}")
    if app.ui.is_json:
        app.ui.json("lock", {"changed": changed, "changes": lines, "epoch": new.epoch})


def _check(app: App, project: "Project") -> None:
    from vcr.lock.read import load_lock  # noqa: PLC0415

    load_lock(project)
    app.ui.note("vcr.lock is up to date")
    if app.ui.is_json:
        app.ui.json("lock", {"changed": False, "changes": []})


def _old_lock(project: "Project") -> "Lock | None":
    from vcr.model.lockfile import read_lock_file  # noqa: PLC0415

    try:
        return read_lock_file(project.lock_file)
    except LockError:
        return None  # missing or unreadable: everything is resolved anew


def _locker(app: App, show: Callable[[str], None]) -> "Locker":
    from vcr.lock.archive import Reader  # noqa: PLC0415
    from vcr.lock.oci import ImageStore  # noqa: PLC0415
    from vcr.lock.write import Locker  # noqa: PLC0415
    from vcr.tools.apt import mirrors  # noqa: PLC0415
    from vcr.tools.gpgv import Gpgv  # noqa: PLC0415
    from vcr.tools.nix import Nix  # noqa: PLC0415
    from vcr.tools.skopeo import Skopeo  # noqa: PLC0415

    nix = Nix(app.settings)

    def archive() -> Reader:
        return Reader(Gpgv.of_toolset(nix.toolset("verify")), mirrors(), app.settings.cache_dir)

    def images() -> ImageStore:
        return ImageStore(Skopeo.of_toolset(nix.toolset("oci")), nix)

    return Locker(archive, images, show)
