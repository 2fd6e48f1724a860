"""`vcr intro`: what vcr is, on one screen, and what to do next in this directory."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, project_argument
from vcr.errors import LockError, UsageError
from vcr.ui import Tint

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.model.project import Project

TITLE = "vcr, the verifiable container runner"
WHAT = "An app with a Dockerfile becomes a machine that a stranger can check, bit for bit."
TOUR = (
    ("Build", (
        ("lock", "closes every input by address, size and SHA-256; commit vcr.lock"),
        ("build", "builds every stage in Nix's sandbox and prints the digest ladder"),
        ("inspect, graph", "show what would be built of what, and what is there"),
    )),
    ("Run", (
        ("run --profile dev", "a container of this host; with --hot it follows your changes"),
        ("run", "a riscv64 machine that boots: the profile vm"),
        ("up --profile prod", "the sealed snapshot of a deterministic machine, with one hash"),
        ("logs, shell, exec", "what it prints; a way inside, except into a release"),
    )),
    ("Let others check", (
        ("verify, explain", "rebuild and compare, rung by rung; say why two builds differ"),
        ("attest", "states what a build is, signed; `attest verify` needs no network"),
        ("export, push, pull", "carry a release, and check every byte of it"),
    )),
)  # fmt: skip


@dataclass(frozen=True)
class Next:
    """A command that makes sense now."""

    command: str
    why: str


@dataclass(frozen=True)
class Standing:
    """How far a directory has come."""

    state: str
    words: str
    steps: tuple[Next, ...]


LOCK = Next("vcr lock", "closes every input by hash; commit vcr.lock")
BUILD = Next("vcr build", "builds, and prints the digest ladder")
DEV = Next("vcr run --profile dev --hot", "runs it here and follows your changes")
RUN = Next("vcr run", "boots it in a machine; Ctrl-C stops it")
NEXT = {
    "empty": Standing("empty", "there is no Dockerfile here", (
        Next("vcr create my-app --template python", "makes a project to start from"),
        Next("vcr run my-app --profile dev --hot", DEV.why),
        Next("vcr build my-app", BUILD.why),
    )),
    "dockerfile": Standing(
        "dockerfile", "there is a Dockerfile; vcr.toml may say what its FROM starts from", (
        Next("vcr inspect --config", "shows every setting and its default"), LOCK, DEV,
    )),
    "unlocked": Standing("unlocked", "there is no vcr.lock yet", (LOCK, BUILD, DEV)),
    "stale": Standing("stale", "vcr.lock is out of date", (
        LOCK, Next("vcr lock --check", "for CI: says whether it is up to date"), BUILD,
    )),
    "locked": Standing("locked", "every input is closed, and nothing is built yet",
                       (BUILD, DEV, RUN)),
    "built": Standing("built", "it is built", (
        RUN,
        Next("vcr build --profile prod", "makes the release: a machine with one hash"),
        Next("vcr report release.html", "tells about the build on one page"),
    )),
}  # fmt: skip


@click.command(cls=Command)
@project_argument
@click.pass_obj
def intro(app: App) -> None:
    """Say what vcr is, in twenty lines, and which three commands come next here.

    What comes next depends on what there is: a Dockerfile, vcr.toml, vcr.lock, a build.
    """
    found, name = standing(app)
    if app.ui.is_json:
        steps = [asdict(step) for step in found.steps]
        app.ui.json("intro", {"state": found.state, "name": name, "next": steps})
        return
    app.ui.lines(_lines(found, name))


def standing(app: App) -> tuple[Standing, str]:
    """Return how far the directory of APP has come, and the project's name, "" for none.

    Raises UsageError when what is there cannot be read.
    """
    from vcr.lock.read import load_lock
    from vcr.model.project import CONFIG_FILE

    if not app.directory.is_dir():
        raise UsageError(f"{app.directory} is not a directory")
    if not any((app.directory / each).exists() for each in ("Dockerfile", CONFIG_FILE)):
        return NEXT["empty"], ""
    project = app.load_project()
    if not project.lock_file.exists():
        configured = (project.root / CONFIG_FILE).exists()
        return NEXT["unlocked" if configured else "dockerfile"], project.name
    try:
        load_lock(project)
    except LockError:
        return NEXT["stale"], project.name
    return NEXT["built" if _is_built(app, project) else "locked"], project.name


def _is_built(app: App, project: "Project") -> bool:
    """Tell whether an output of a build of PROJECT is still in the store."""
    from vcr.build.builder import Builder

    roots: Iterable[Path] = Builder(app.settings, app.ui, project).roots.glob("*/*")
    return any(root.is_symlink() and root.exists() for root in roots)


def _lines(found: Standing, name: str) -> Iterable[tuple[tuple[str, Tint], ...]]:
    """Yield the lines of the tour; each is pieces of text and what they are."""
    yield ((TITLE, Tint.TITLE),)
    yield ((WHAT, Tint.TEXT),)
    for title, rows in TOUR:
        yield ((title, Tint.TITLE),)
        for command, does in rows:
            yield ((f"  {command:<20}", Tint.COMMAND), (does, Tint.TEXT))
    yield ((f"Here, {name}: " if name else "Here: ", Tint.TITLE), (found.words, Tint.TEXT))
    for step in found.steps:
        yield ((f"  $ {step.command}", Tint.COMMAND), (f"  # {step.why}", Tint.SOFT))
