"""The services of a project: each is built as a container of the profile dev, beside the app's.

An image is locked with the project, as one that COPY --from names; a directory is a project
with a lock of its own.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vcr.atomic import write_text
from vcr.build.builder import Builder
from vcr.engines.container.bundle import Bind
from vcr.engines.container.services import Service
from vcr.errors import UsageError, VcrError
from vcr.lock.read import load_lock
from vcr.model.arch import native_arch
from vcr.model.config import Config, HealthSection, ServiceSection
from vcr.model.lockfile import Lock
from vcr.model.project import Project, load_project
from vcr.model.volume import split_volume
from vcr.planner.project import make_plan
from vcr.runtime.volumes import directory_of, note_project
from vcr.settings import Settings
from vcr.ui import Ui

STAGES = ("image", "container")


def build_services(settings: Settings, ui: Ui, project: Project) -> tuple[Service, ...]:
    """Build the services of PROJECT, in the order of vcr.toml; raises VcrError."""
    lock = load_lock(project)
    note_project(settings, project)
    binds = {
        name: _binds(project, directory_of(settings, project, name), section.volumes)
        for name, section in project.config.services.items()
    }
    check_apart([bind for each in binds.values() for bind in each], project.context)
    return tuple(
        _build(settings, ui, project, lock, name, section, binds[name])
        for name, section in project.config.services.items()
    )


def _build(
    settings: Settings,
    ui: Ui,
    project: Project,
    lock: Lock,
    name: str,
    section: ServiceSection,
    binds: Sequence[Bind],
) -> Service:
    ui.note(f"service {name}")
    try:
        found, locked = _project_of(settings, project, lock, name, section)
    except VcrError as error:
        error.details = (*error.details, ("service", name))
        raise
    plan = make_plan(found, locked, arch=native_arch(), profile="dev")
    built = Builder(settings, ui, found).build(plan, STAGES)
    named = directory_of(settings, project, name)
    return Service(
        name,
        str(built.path("container")),
        env=tuple(f"{key}={value}" for key, value in section.env.items()),
        binds=tuple(binds),
        volumes=tuple(bind.source for bind in binds if bind.source.is_relative_to(named)),
        timeout=section.timeout,
    )


def _project_of(
    settings: Settings, project: Project, lock: Lock, name: str, section: ServiceSection
) -> tuple[Project, Lock]:
    """Return a service as a project with a lock; raises UsageError, LockError."""
    if section.build:
        directory = project.places.lead(section.build, f"vcr.toml: [services.{name}] build")
        # It belongs to this project, and may name what this one may.
        other = load_project(directory, outside=(project.root, *project.places.outside))
        found, locked = replace(other, name=f"{project.name}-{name}"), load_lock(other)
    else:
        place = hashlib.sha256(f"{project.root} {section.image}".encode()).hexdigest()[:32]
        directory = settings.cache_dir / "services" / place
        dockerfile = directory / "Dockerfile"
        write_text(dockerfile, f"FROM {section.image}\n")
        found = Project(
            project.root, f"{project.name}-{name}", Config(), dockerfile, directory, project.places
        )
        locked = lock
    config = found.config
    if section.ports:
        machine = config.machine.model_copy(update={"ports": section.ports})
        config = config.model_copy(update={"machine": machine})
    if section.health:
        config = config.model_copy(update={"health": HealthSection(command=section.health)})
    return replace(found, config=config), locked


def _binds(project: Project, named: Path, texts: Sequence[str]) -> list[Bind]:
    return [_bind(project, named, text) for text in texts]


def _bind(project: Project, named: Path, text: str) -> Bind:
    """Read NAME:PATH or HOST:PATH[:ro], which was checked; raises UsageError."""
    source, target, read_only = split_volume(text)
    if "/" not in source:
        return Bind(named / source, target, read_only=read_only)
    path = project.places.lead(source, "vcr.toml: [services] volumes")
    if not path.exists():
        raise UsageError(f"vcr.toml: there is no {source} to show to a service", fix="make it")
    if not (read_only or any(path.is_relative_to(place) for place in project.places.outside)):
        _check_writable(path, source)
    return Bind(path, target, read_only=read_only)


def check_apart(binds: Sequence[Bind], context: Path) -> None:
    """Raise UsageError when a bind, or the CONTEXT, is in a directory that a service can write to.

    It is mounted when that service runs already, and has put a link in its place: what the
    link leads to is not what was checked.
    """
    for outer in binds:
        shown = () if outer.read_only else (*(bind.source for bind in binds), context)
        for inner in shown:
            if inner != outer.source and inner.is_relative_to(outer.source):
                raise UsageError(
                    f"vcr.toml: [services] volumes: {inner} is in {outer.source}, to which a"
                    " service writes",
                    why="it could make vcr show any directory of this host to the next one",
                    fix="show the outer one read-only, with `:ro`, or separate the two",
                )


def _check_writable(path: Path, source: str) -> None:
    """Raise UsageError when PATH, of a volume SOURCE, is or holds a repository's own files.

    git runs what is named there, on this host, as the user: githooks(5), git-config(1).
    """
    holds = any(".git" in (*below, *files) for _, below, files in path.walk())
    if holds or ".git" in path.parts:
        raise UsageError(
            f"vcr.toml: [services] volumes: a service could write to .git of {source}",
            why="git runs programs that are named there: it would run what a service writes",
            fix=f"show it read-only, `{source}:PATH:ro`, or another directory",
        )
