"""Makes the statements about a build: the predicate of the kind asked for, over its ladder."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.attest.cyclonedx import from_spdx
from vcr.attest.execution import execute_again
from vcr.attest.predicates import TYPES, Host, rebuild, root_hash, run_once, with_time
from vcr.attest.provenance import Pins, provenance, source_descriptor
from vcr.attest.providers import Parts
from vcr.attest.sbom import sbom
from vcr.attest.source import Revision, revision_of, warn_of_changes
from vcr.attest.statement import DRIVE, Statement, subjects_of
from vcr.build.builder import Builder, Built
from vcr.errors import UsageError
from vcr.lock.read import load_lock
from vcr.model.digest import Digest
from vcr.model.ladder import UNKNOWN, Rung
from vcr.model.profile import PROFILES
from vcr.model.project import Project
from vcr.model.stage import Rebuilt
from vcr.sandbox.enclave import EIF
from vcr.tools.git import Git
from vcr.tools.nix import Nix
from vcr.verify.rebuild import Rebuilder


@dataclass(frozen=True)
class Maker:
    """Makes statements about what BUILDER has BUILT."""

    builder: Builder
    built: Built

    def statement(self, kind: str, time: str | None = None) -> Statement:
        """Return the statement of KIND, said to be made at TIME; raises UsageError, VcrError."""
        profile = PROFILES[self.built.plan.profile]
        if kind in {"root-hash", "run-once"} and not profile.can_be_enclosed:
            raise UsageError(
                f"{kind} is about the sealed machine of a release",
                why=f"the profile {profile.name} has none",
                fix="use --profile prod",
            )
        subjects = subjects_of(self.built.ladder)
        if kind == "root-hash":
            subjects[DRIVE] = Digest.of_file(self._drive)
        predicate = self._predicate(kind)
        if time is not None:
            predicate = with_time(kind, predicate, time)
        return Statement(subjects, TYPES[kind], predicate)

    @property
    def sealed_root(self) -> bytes:
        """Return the root hash of the drive, b"" where there is none."""
        digests = {rung.name: rung.digest for rung in self.built.ladder}
        return bytes.fromhex(digests["sealed"].hex) if "sealed" in digests else b""

    @property
    def parts(self) -> Parts:
        """Return what a provider measures and starts."""
        seal = self.built.path("seal") if self.sealed_root else None
        with_image = any(stage.name == "enclave" for stage in self.built.stages)
        image = self.built.path("enclave") / EIF if with_image else None
        return Parts(self.sealed_root, image, seal)

    @property
    def _drive(self) -> Path:
        return self.built.path("seal") / "drive"

    def _predicate(self, kind: str) -> dict[str, Any]:
        plan, project, settings = self.built.plan, self.builder.project, self.builder.settings
        pins = Pins(Nix(settings).directory / "pins")
        match kind:
            case "provenance":
                source = revision_of(project, plan, lambda: git_of(Nix(settings)))
                warn_of_changes(self.builder.ui, source)
                return provenance(project, plan, source, pins, this_host())
            case "root-hash":
                verity = json.loads((self.built.path("seal") / "verity.json").read_bytes())
                return root_hash(plan, verity, self._drive.stat().st_size)
            case "run-once":
                executed = execute_again(Rebuilder(self.builder), plan, self.built)
                return run_once(plan, executed.machine, executed.digest, this_host())
            case _:
                image = next(r.digest for r in self.built.ladder if r.name == "image")
                document = sbom(plan, load_lock(project), pins, image)
                return from_spdx(document) if kind == "cyclonedx" else document


def witness(
    built: Built, project: Project, source: Revision | None, time: str | None, extent: Rebuilt
) -> Statement:
    """Return the statement that building PROJECT again, from SOURCE, gave what is BUILT.

    EXTENT is how much was built again.
    """
    lock = Digest.of_file(project.lock_file)
    given = source_descriptor(source) if source else None
    predicate = rebuild(built.plan, lock, given, this_host(), extent)
    if time is not None:
        predicate = with_time("rebuild", predicate, time)
    return Statement(subjects_of(built.ladder), TYPES["rebuild"], predicate)


def git_of(nix: Nix) -> Git:
    """Return the pinned git."""
    return Git.of_toolset(nix.toolset("git"))


def this_host() -> Host:
    """Return what is said of this host: its kind, as Nix calls it."""
    return Host(f"{platform.machine()}-{platform.system().lower()}")


def ladder_of(statement: Statement) -> tuple[Rung, ...]:
    """Return the rungs that STATEMENT is about; their files are not at hand."""
    return tuple(Rung(name, digest, UNKNOWN, Path()) for name, digest in statement.rungs.items())
