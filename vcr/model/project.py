"""A project: a directory with a Dockerfile and, if it likes, a vcr.toml.

Everything in vcr.toml is optional. An unknown key is an error that names the
nearest one; every message says where in the file it is about.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, load_toml, read_text
from vcr.model.arch import Arch, platform_arch
from vcr.model.config import Config, ServiceSection
from vcr.model.places import Places, places_of
from vcr.model.sections.base import Base
from vcr.model.sections.reason import key_of, reason_of
from vcr.model.sections.values import LONGEST_NAME

CONFIG_FILE = "vcr.toml"
LOCK_FILE = "vcr.lock"
# Tables of vcr.toml that have a name of their own: [base.NAME]
DOCKERFILES = ("Dockerfile", "dockerfile")  # as Docker looks for it
MOST_ENTRIES = 1000  # of a directory, in which a Dockerfile is looked for
_DOCKERFILE = re.compile(
    r"\A(dockerfile|containerfile)(?!\.dockerignore)|\.dockerfile\Z", re.IGNORECASE
)
NAMED: dict[str, Any] = {"base": Base, "services": ServiceSection}


@dataclass(frozen=True)
class Project:
    """A project on disk, its configuration checked; its paths have no links."""

    root: Path
    name: str
    config: Config
    dockerfile: Path
    context: Path
    places: Places
    ignore_files: tuple[Path, ...] = ()  # the first that is there says what takes no part

    @property
    def key(self) -> str:
        """Return a name for this checkout of the project, unique on this host."""
        place = hashlib.sha256(str(self.root).encode()).hexdigest()
        return f"{self.name}-{place[:12]}"

    @property
    def build_arch(self) -> Arch:
        """Return the architecture of $BUILDPLATFORM."""
        return platform_arch(self.config.build.platform)

    @property
    def ignore_file(self) -> Path | None:
        """Return what says which files take no part, None without it; raises UsageError."""
        found = next(filter(os.path.isfile, self.ignore_files), None)
        return self.places.lead(str(found), found.name) if found is not None else None

    @property
    def own_files(self) -> frozenset[str]:
        """Return the paths of vcr.toml and vcr.lock in the build context, where they are in it."""
        files = (self.root / CONFIG_FILE, self.lock_file)
        inside = (file for file in files if file.is_relative_to(self.context))
        return frozenset(file.relative_to(self.context).as_posix() for file in inside)

    @property
    def lock_file(self) -> Path:
        """Return the path of vcr.lock."""
        return self.root / LOCK_FILE


def load_project(root: Path, *, outside: tuple[Path, ...] = ()) -> Project:
    """Read the project in directory ROOT; raises UsageError.

    Its paths may lead to what is OUTSIDE of it only if that is allowed.
    """
    if not os.path.isdir(root):  # noqa: PTH112 -- False also for a name that is too long
        raise UsageError(f"{root} is not a directory", fix="name a project's directory")
    places = places_of(root, outside)
    root = places.root
    try:
        str(root).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"the path {root} is not UTF-8", fix="rename the directory; plans are JSON"
        ) from None
    config = _with_dockerfile(_load_config(places.lead(CONFIG_FILE, CONFIG_FILE)), root)
    places.lead(LOCK_FILE, LOCK_FILE)
    dockerfile = places.lead(config.project.dockerfile, f"{CONFIG_FILE}: [project] dockerfile")
    context = places.lead(config.project.context, f"{CONFIG_FILE}: [project] context")
    if not dockerfile.is_file():
        raise UsageError(
            f"there is no {config.project.dockerfile} in {root}",
            why="a project is a directory with a Dockerfile",
            fix=_elsewhere(root)
            or "write one, or `vcr create NAME --template python` makes a whole project",
        )
    if not context.is_dir():
        raise UsageError(
            f"the build context {config.project.context!r} is not a directory",
            fix=f"change context in {CONFIG_FILE}",
        )
    name = config.project.name or _name_of(root)
    beside = Path(f"{root / config.project.dockerfile}.dockerignore")
    ignore_files = (beside, context / ".dockerignore")
    return Project(root, name, config, dockerfile, context, places, ignore_files)


def _with_dockerfile(config: Config, root: Path) -> Config:
    """Return CONFIG with the name that the Dockerfile in ROOT has: Docker, too, takes this one."""
    section, name = config.project, DOCKERFILES[1]
    if "dockerfile" in section.model_fields_set or (root / section.dockerfile).exists():
        return config
    if not (root / name).is_file():
        return config
    values = {**dict(section), "dockerfile": name}
    found = type(section).model_construct(section.model_fields_set, **values)
    return config.model_copy(update={"project": found})


def _elsewhere(root: Path) -> str:
    """Return what to do about Dockerfiles in ROOT that have other names, "" without one."""
    try:
        entries = sorted(root.iterdir())[:MOST_ENTRIES]
        files = [each.name for each in entries if _DOCKERFILE.search(each.name)]
        below = [each.name for each in entries if (each / "Dockerfile").is_file()]
    except OSError:
        return ""
    if files:
        return f'name it in {CONFIG_FILE}: [project] dockerfile = "{files[0]}"'
    if not below:
        return ""
    # Many keep it there and build with `docker build -f build/Dockerfile .`.
    return (
        f"name {', '.join(below[:3])}: a directory with a Dockerfile; or, if its files are here,"
        f' write in {CONFIG_FILE}: [project] dockerfile = "{below[0]}/Dockerfile"'
    )


def _name_of(root: Path) -> str:
    name = "-".join(re.findall(r"[a-z0-9]+", root.name.lower()))
    return name[:LONGEST_NAME].strip("-") or "app"


def _load_config(path: Path) -> Config:
    try:
        text = read_text(path, MAX_TEXT)
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}", why=str(error)) from None
    try:
        return Config.model_validate(_parse(text))
    except ValidationError as error:
        raise _explain(error.errors()[0], text) from None


def _parse(text: str) -> dict[str, Any]:
    """Return what the TEXT of vcr.toml says; raises UsageError."""
    try:
        content = load_toml(text)
    except ValueError as error:  # also for a number of too many digits
        raise UsageError(f"{CONFIG_FILE} is not valid TOML", why=str(error)) from None
    pending: list[tuple[str, Any]] = [("", content)]
    while pending:
        key, value = pending.pop()
        if isinstance(value, dict):
            pending += ((f"{key}.{name}".lstrip("."), each) for name, each in value.items())
            pending += ((f"{key}.{name}", name) for name in value)
        elif isinstance(value, list):
            pending += ((key, each) for each in value)
        elif isinstance(value, str) and "\0" in value:
            raise UsageError(f"{CONFIG_FILE}: {key} has a NUL in it")
    return content


def _explain(error: ErrorDetails, text: str) -> UsageError:
    """Turn one of pydantic's errors into words about vcr.toml."""
    where = key_of(error)
    line = _line_of(where, text)
    place = f"{CONFIG_FILE}:{line}" if line else CONFIG_FILE
    dotted = ".".join(where)
    if error["type"] == "extra_forbidden":
        known = _keys_at(where[:-1])
        near = get_close_matches(where[-1], known, n=1, cutoff=0.5)
        return UsageError(
            f"{place}: unknown key {dotted!r}",
            fix=f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}",
        )
    return UsageError(f"{place}: {dotted or 'the file'} is wrong", why=reason_of(error))


def _line_of(where: list[str], text: str) -> int:
    """Find the line of a key: its table's header first, then the key below it."""
    lines, start = text.splitlines(), 0
    for depth in range(len(where), 0, -1):
        header = re.compile(rf"\s*\[\s*{re.escape('.'.join(where[:depth]))}\s*\]")
        found = next((n for n, line in enumerate(lines, 1) if header.match(line)), 0)
        if found:
            start = found
            break
    for number, line in enumerate(lines[start:], start + 1):
        if any(re.match(rf"\s*\"?{re.escape(part)}\"?\s*=", line) for part in where):
            return number
    return start


def _keys_at(where: list[str]) -> list[str]:
    model: Any = Config
    for name in where[:1]:
        model = NAMED.get(name) or model.model_fields[name].default.__class__
    return sorted(model.model_fields)
