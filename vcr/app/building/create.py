"""`create`: a new project from a template, whole or not at all."""

import re
import shutil
from pathlib import Path

from vcr.app.context import Context
from vcr.atomic import new_directory
from vcr.errors import UsageError

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"  # beside the package
# template → the example it is
TEMPLATES = {"python": "hello", "flask": "flask", "node": "node", "go": "go", "rust": "rust",
             "c": "c", "static": "static"}  # fmt: skip
README = """\
# {name}

    vcr up       # build what is not built, start it; vcr down stops it
    vcr build    # build everything, print the digests
    vcr lock     # lock the current versions; commit vcr.lock, which pins every input by hash
"""
LONGEST = 128  # characters, as of [project] name
_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")


def create(context: Context, name: str, template: str = "python") -> Path:
    """Make the project NAME below the context's directory, and return its directory.

    TEMPLATE is one of TEMPLATES. Raises UsageError when NAME is not valid or exists already.
    """
    if template not in TEMPLATES:
        raise UsageError(
            f"there is no template {template!r}", fix=f"templates are {', '.join(TEMPLATES)}"
        )
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise UsageError(
            f"{name!r} cannot be the name of a project",
            why="it becomes the name of an image: lower-case letters, digits and . _ -, "
            f"{LONGEST} characters at most",
            fix="choose a name such as my-app",
        )
    target = context.directory / name
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it")
    with new_directory(target) as scratch:
        _fill(EXAMPLES / TEMPLATES[template], scratch, name)
    return target


def _fill(example: Path, target: Path, name: str) -> None:
    """Copy EXAMPLE with its lock: what comes of it is known, and nothing has to be resolved."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(example, target, ignore=ignored, dirs_exist_ok=True)
    for path in (target, *target.rglob("*")):  # the Nix store is read-only
        path.chmod(0o755 if path.is_dir() else 0o644)
    (target / "README.md").write_text(README.format(name=name), encoding="utf-8")
