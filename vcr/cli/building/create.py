"""`vcr create`: a new project from a template, whole or not at all."""

import re
import shutil
from pathlib import Path

import click

from vcr.cli.context import App, Command
from vcr.errors import UsageError

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"  # beside the package
# template → the example it is
TEMPLATES = {"python": "hello", "flask": "flask", "node": "node", "go": "go", "rust": "rust",
             "c": "c", "static": "static"}  # fmt: skip
README = """\
# {name}

    vcr up       # build what is not built, start it; vcr down stops it
    vcr build    # build everything, print the digests
    vcr lock     # take what is current now; commit vcr.lock, which closes every input by hash
"""
LONGEST = 128  # characters, as of [project] name
_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice(list(TEMPLATES)),
    default="python",
    show_default=True,
    help="What kind of app to start from.",
)
@click.pass_obj
def create(app: App, name: str, template: str) -> None:
    """Make a new project in a new directory NAME."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise UsageError(
            f"{name!r} cannot be the name of a project",
            why="it becomes the name of an image: small letters, digits and . _ -, "
            f"{LONGEST} characters at most",
            fix="choose a name such as my-app",
        )
    target = app.directory / name
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it")
    _write(EXAMPLES / TEMPLATES[template], target, name)
    app.ui.note(f"made {target} from the {template} template")
    for command in ("up", "build", "lock"):
        app.ui.note(f"  vcr {command} {name}")
    if app.ui.is_json:
        app.ui.json("create", {"name": name, "path": str(target.resolve()), "template": template})


def _write(template: Path, target: Path, name: str) -> None:
    """Fill a directory beside TARGET, then rename it into place."""
    from vcr.atomic import new_directory

    with new_directory(target) as scratch:
        _fill(template, scratch, name)


def _fill(example: Path, target: Path, name: str) -> None:
    """Copy EXAMPLE with its lock: what comes of it is known, and nothing has to be resolved."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(example, target, ignore=ignored, dirs_exist_ok=True)
    for path in (target, *target.rglob("*")):  # the Nix store is read-only
        path.chmod(0o755 if path.is_dir() else 0o644)
    (target / "README.md").write_text(README.format(name=name), encoding="utf-8")
