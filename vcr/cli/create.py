"""`vcr create`: a new project from a template, whole or not at all."""

import re
import shutil
import tempfile
from pathlib import Path

import click

from vcr.cli.app import App, Command
from vcr.errors import HostError, UsageError

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
READY = ("python", "static")
LATER = ("go", "node", "rust")  # need RUN to compile or to install
_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice([*READY, *LATER]),
    default="python",
    show_default=True,
    help="What kind of app to start from.",
)
@click.pass_obj
def create(app: App, name: str, template: str) -> None:
    """Make a new project in a new directory NAME."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a project",
            why="it becomes the name of an image: small letters, digits and . _ -",
            fix="choose a name such as my-app",
        )
    if template in LATER:
        raise UsageError(
            f"there is no {template} template yet",
            why="it has to run a compiler or an installer, and this version has no RUN",
            fix=f"choose one of {', '.join(READY)}",
        )
    target = app.directory / name
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it")
    _write(TEMPLATES / template, target, name)
    app.ui.note(f"made {target} from the {template} template")
    for command in ("lock", "build", "run"):
        app.ui.note(f"  vcr {command} {name}")
    if app.ui.is_json:
        app.ui.json("create", {"name": name, "path": str(target.resolve()), "template": template})


def _write(template: Path, target: Path, name: str) -> None:
    """Fill a directory beside TARGET, then rename it into place."""
    try:
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{name}."))
        try:
            _fill(template, scratch / name, name)
            (scratch / name).rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise HostError(
            f"cannot make {target}", why=error.strerror or "", fix="check permissions and space"
        ) from error


def _fill(template: Path, target: Path, name: str) -> None:
    for source in (path for path in sorted(template.rglob("*")) if path.is_file()):
        relative = source.relative_to(template)
        # A package cannot hold a .dockerignore of its own: it would take effect.
        file = target / relative.with_name(relative.name.replace("dot-", ".", 1))
        file.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8").replace("{{name}}", name)
        file.write_text(text, encoding="utf-8")
