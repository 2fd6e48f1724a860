"""`vcr lock`: resolve every input and write vcr.lock; `--check` and `--audit` compare."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

import vcr.app
from vcr.cli.context import App, Command, project_argument
from vcr.model.arch import Arch
from vcr.words import counted

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.app.building.lock import Locked

SHOWN_CHANGES = 20
NOTHING = "vcr.toml: there is nothing to add; every image has a [base], or no packages are known"


@click.command(cls=Command)
@project_argument
@click.option("--check", is_flag=True, help="Only check whether vcr.lock is up to date (exit 4).")
@click.option(
    "--audit",
    is_flag=True,
    help="Ask every source again and compare with vcr.lock (exit 3).",
)
@click.option(
    "--suggest",
    is_flag=True,
    help="Add [base] sections for the images to vcr.toml, and stop.",
)
@click.option("--update", is_flag=True, help="Resolve everything again, also what did not change.")
@click.option(
    "--arch",
    "archs",
    multiple=True,
    type=click.Choice([arch.value for arch in Arch]),
    help="Lock the requests of RUN on this architecture; may be repeated"
    " (default: the locked ones, and riscv64).",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="id=ID,src=FILE[,host=HOST]",
    help="The secret of a RUN --mount=type=secret, and the host that may get it"
    " (default: any host); may be repeated.",
)
@click.option(
    "--export",
    "export",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also copy all answers to RUN to DIR, for VCR_FROM elsewhere.",
)
@click.pass_obj
def lock(
    app: App,
    *,
    check: bool,
    audit: bool,
    suggest: bool,
    update: bool,
    archs: tuple[str, ...],
    secrets: tuple[str, ...],
    export: Path | None,
) -> None:
    """Resolve every input and write vcr.lock; builds only read it."""
    from vcr.lock.secrets.given import read_secrets

    if check:
        vcr.app.check_lock(app.context)
        app.ui.note("vcr.lock is up to date")
        if app.ui.is_json:
            app.ui.json("lock", {"changed": False, "changes": []})
    if audit:
        _audit(app)
    if suggest:
        _suggest(app)
    if check or audit or suggest:
        return
    given, wanted = read_secrets(secrets), [Arch(name) for name in archs]
    _tell(
        app,
        vcr.app.lock(app.context, archs=wanted, secrets=given, update=update, export=export),
    )


def _tell(app: App, locked: "Locked") -> None:
    """Say what is new in the lock."""
    lines = locked.changes
    for line in lines[:SHOWN_CHANGES]:
        app.ui.note(line)
    if len(lines) > SHOWN_CHANGES:
        app.ui.note(f"and {counted(len(lines) - SHOWN_CHANGES, 'more change')}")
    app.ui.note(f"vcr.lock {'written' if locked.changed else 'is up to date'}")
    if app.ui.is_json:
        told = {"changed": locked.changed, "changes": lines, "epoch": locked.lock.epoch}
        app.ui.json("lock", told)


def _suggest(app: App) -> None:
    sections = vcr.app.suggest_bases(app.context)
    if app.ui.is_json:
        changes = [section.rstrip() for section in sections]
        app.ui.json("lock", {"changed": False, "changes": changes})
        return
    if sections:
        app.ui.document("\n".join(sections).rstrip("\n"))
    names = "see what the Dockerfile needs of them, then run `vcr lock`"
    added = f"vcr.toml: {counted(len(sections), 'section')} added; {names}"
    app.ui.note(added if sections else NOTHING)


def _audit(app: App) -> None:
    """Show how the lock compares with its sources; raises MismatchError, FetchError."""
    found = vcr.app.audit_lock(app.context)
    if app.ui.is_json:
        rest = {"compared": found.compared, "differences": found.differences}
        app.ui.json("lock", {"changed": False, "changes": [], **rest, "unasked": found.unasked})
    for each in found.changing:
        app.ui.detail(f"not compared, because it may change: {each}")
    if found.changing:
        one, several = "answer is from an address", "answers are from addresses"
        app.ui.note(f"{counted(len(found.changing), one, several)} that may change")
    found.check()
    app.ui.note("vcr.lock agrees with its sources")
