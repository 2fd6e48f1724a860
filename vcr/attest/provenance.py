"""Build provenance of a plan: SLSA's predicate, filled from the project, its lock and the pins.

https://slsa.dev/spec/v1.0/provenance
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.attest.predicates import BUILD_TYPE, BUILDER, Host
from vcr.attest.source import Revision
from vcr.model.digest import Digest
from vcr.model.plan import Plan, Run, files_of, images_of, repositories_of
from vcr.model.project import CONFIG_FILE, Project
from vcr.model.source import Fetched, GitSource
from vcr.tools.git import directory_of

MAX_CHANGED = 20  # names of files that differ from the commit; how many there are is told
MAX_NAME = 255  # characters of each

type Descriptor = dict[str, Any]  # in-toto's ResourceDescriptor


@dataclass(frozen=True)
class Pins:
    """The files that pin the toolchain."""

    directory: Path  # nix/pins

    def descriptors(self) -> list[Descriptor]:
        """Return one for each list of Debian packages; raises OSError."""
        found = []
        for path in sorted(self.directory.glob("debian-*.json")):
            snapshot = json.loads(path.read_bytes())["snapshot"]
            uri = f"https://snapshot.debian.org/archive/debian/{snapshot}/"
            descriptor = file_descriptor(path, f"toolchain/{path.name}")
            found.append({**descriptor, "annotations": {"archive": uri}})
        return found

    def packages(self, arch: str, *sets: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the name of each package of SETS, and what is known of it, sorted."""
        content = json.loads((self.directory / f"debian-{arch}.json").read_bytes())
        base = f"https://snapshot.debian.org/archive/debian/{content['snapshot']}/"
        for name in sorted({name for each in sets for name in content["sets"][each]}):
            package = content["packages"][name]
            yield name, {**package, "suite": content["suite"], "url": base + package["path"]}

    def cartesi_kernel(self) -> dict[str, str]:
        """Return the URL and the SHA-256 of what a Cartesi machine boots; raises OSError."""
        content = json.loads((self.directory / "cartesi.json").read_bytes())
        kernel: dict[str, str] = content["kernel"]
        return kernel


def provenance(
    project: Project, plan: Plan, source: Revision | None, pins: Pins, host: Host
) -> dict[str, Any]:
    """Return the predicate for what PROJECT builds to by PLAN; raises OSError."""
    given = [source_descriptor(source)] if source else []
    own = [project.lock_file, project.dockerfile, project.root / CONFIG_FILE]
    files = [file_descriptor(path, path.name) for path in own if path.is_file()]
    fetched = {(row["name"], *row["digest"].values()): row for row in _fetched(plan)}
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": plan.terms,
            "internalParameters": {"epoch": plan.epoch, "system": host.system},
            "resolvedDependencies": [
                *given,
                *files,
                *(fetched[key] for key in sorted(fetched)),
                *pins.descriptors(),
            ],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"vcr": host.version}},
        },
    }


def source_descriptor(source: Revision) -> Descriptor:
    """Return the SOURCE: its commit, where it is published, and which files are not of it."""
    found: Descriptor = {"name": "source", "digest": {"gitCommit": source.commit}}
    if source.uri:
        found["uri"] = f"git+{source.uri}@{source.commit}"
    if source.changed:
        files = [name[:MAX_NAME] for name in source.changed[:MAX_CHANGED]]
        told = {"changed": True, "changedFiles": files, "changedCount": len(source.changed)}
        found["annotations"] = told
    return found


def file_descriptor(path: Path, name: str) -> Descriptor:
    """Return the file at PATH by its digest, called NAME; raises OSError."""
    return {"name": name, "digest": {"sha256": Digest.of_file(path).hex}}


def _fetched(plan: Plan) -> Iterator[Descriptor]:
    """Yield what the bases and remote files of PLAN are; vcr.lock closes what RUN is answered."""
    for layer in plan.layers.values():
        for reference, manifest in images_of(layer).items():
            yield {"name": reference, "digest": {"sha256": Digest(manifest).hex}}
        for source in repositories_of(layer):
            yield _repository(source)
        if not isinstance(layer, Run):
            yield from map(_file, files_of(layer))


def _repository(source: GitSource) -> Descriptor:
    uri = f"git+{source.remote}@{source.commit}"
    name = directory_of(source.remote)
    return {"name": name, "uri": uri, "digest": {"gitCommit": source.commit}}


def _file(file: Fetched) -> Descriptor:
    return {"name": file.name, "uri": file.url, "digest": {"sha256": file.sha256}}
