"""`vcr intro`: what vcr is, on one screen, and what to do next in this directory."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import click

import vcr.app
from vcr.cli.context import App, Command, project_argument
from vcr.ui import Tint

TITLE = "vcr, the verifiable container runner"
WHAT = "An app with a Dockerfile becomes a machine that a stranger can check, bit for bit."
TOUR = (
    ("Build", (
        ("lock", "pins every input by address, size and SHA-256; commit vcr.lock"),
        ("build", "builds every stage in Nix's sandbox and prints the digest ladder"),
        ("inspect, graph", "show what would be built from what, and what exists"),
    )),
    ("Run", (
        ("run --profile dev", "a container on this host; with --hot it follows your changes"),
        ("run", "a riscv64 machine that boots: the profile vm"),
        ("up --profile prod", "the sealed snapshot of a deterministic machine, with one hash"),
        ("logs, shell, exec", "its output; a way inside, except into a release"),
    )),
    ("Let others check", (
        ("verify, explain", "rebuild and compare, rung by rung; say why two builds differ"),
        ("attest", "signs statements about a build; `attest verify` needs no network"),
        ("export, push, pull", "transfer a release, and check every byte of it"),
    )),
)  # fmt: skip


@dataclass(frozen=True)
class Next:
    """A command that is useful now."""

    command: str
    why: str


@dataclass(frozen=True)
class Advice:
    """What to say where a directory has come so far."""

    words: str
    steps: tuple[Next, ...]


LOCK = Next("vcr lock", "pins every input by hash; commit vcr.lock")
BUILD = Next("vcr build", "builds, and prints the digest ladder")
DEV = Next("vcr run --profile dev --hot", "runs it here and follows your changes")
RUN = Next("vcr run", "boots it in a machine; Ctrl-C stops it")
NEXT = {
    "empty": Advice("there is no Dockerfile here", (
        Next("vcr create my-app --template python", "makes a project to start from"),
        Next("vcr run my-app --profile dev --hot", DEV.why),
        Next("vcr build my-app", BUILD.why),
    )),
    "dockerfile": Advice(
        "there is a Dockerfile; vcr.toml may define the base of its FROM", (
        Next("vcr inspect --config", "shows every setting and its default"), LOCK, DEV,
    )),
    "unlocked": Advice("there is no vcr.lock yet", (LOCK, BUILD, DEV)),
    "stale": Advice("vcr.lock is out of date", (
        LOCK, Next("vcr lock --check", "for CI: checks whether it is up to date"), BUILD,
    )),
    "locked": Advice("every input is closed, and nothing is built yet",
                       (BUILD, DEV, RUN)),
    "built": Advice("it is built", (
        RUN,
        Next("vcr build --profile prod", "makes the release: a machine with one hash"),
        Next("vcr report release.html", "describes the build on one page"),
    )),
}  # fmt: skip


@click.command(cls=Command)
@project_argument
@click.pass_obj
def intro(app: App) -> None:
    """Explain vcr in twenty lines, and show what to do next here.

    The next steps depend on what exists: a Dockerfile, vcr.toml, vcr.lock, a build.
    """
    here = vcr.app.standing(app.context)
    found, name = NEXT[here.state], here.name
    if app.ui.is_json:
        steps = [asdict(step) for step in found.steps]
        app.ui.json("intro", {"state": here.state, "name": name, "next": steps})
        return
    app.ui.lines(_lines(found, name))


def _lines(found: Advice, name: str) -> Iterable[tuple[tuple[str, Tint], ...]]:
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
