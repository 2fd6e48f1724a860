"""`vcr lock --audit`: asks every source again for what vcr.lock says it had.

Debian's packages are resolved from the signed release of the locked snapshot, images read
by digest, files and answers that stay where they are fetched and hashed. What may be
something else by now at its address is told, not judged.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from vcr.errors import FetchError
from vcr.lock.bases import BaseLocker
from vcr.lock.consistent import contradictions
from vcr.lock.git import GitStore
from vcr.lock.inputs import wanted_inputs
from vcr.lock.known import Known
from vcr.lock.network.fetch import Source, fetch
from vcr.lock.network.web import LIMITS
from vcr.lock.secrets.unpacked import UnreadableError, bounded, decoded
from vcr.lock.sources import Sources, is_permanent
from vcr.model.lockfile import Lock, LockedBody
from vcr.model.project import Project
from vcr.words import counted


@dataclass
class Audit:
    """What came of one."""

    compared: int = 0  # entries
    differences: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)  # whose source did not answer, and why
    changing: list[str] = field(default_factory=list)  # at addresses that may change


@dataclass(frozen=True)
class Auditor:
    """Audits locks."""

    bases: BaseLocker
    known: Known
    sources: Sources
    show: Callable[[str], None]
    repositories: Callable[[], GitStore]

    def audit(self, project: Project, lock: Lock) -> Audit:
        """Compare every entry of LOCK, of PROJECT, with its source; raises UsageError."""
        wanted = wanted_inputs(project)
        audit = Audit(differences=list(contradictions(lock, wanted)))
        for name, base in sorted(wanted.bases.items()):
            locked = lock.bases.get(name)
            if locked is None:
                continue
            label = f"[base.{name}]"
            ask = partial(self.bases.audit, project, name, base, locked)
            found = self._asked(audit, label, ask)
            if found == []:
                self.known.add(base, locked)
        for url, file in sorted(lock.urls.items()):
            self._asked(audit, f"ADD {url}", partial(self._file, url, file.sha256, file.size))
        for address in wanted.repositories:
            if repository := lock.repositories.get(address.text):
                self._asked(
                    audit,
                    f"ADD {address.text}",
                    partial(self.repositories().audit, repository),
                )
        for sha256, body in sorted(lock.bodies.items()):
            self._body(audit, sha256, body)
        return audit

    def _asked(self, audit: Audit, label: str, ask: Callable[[], list[str]]) -> list[str] | None:
        """Add to AUDIT how LABEL differs, as ASK tells; None when its source does not answer."""
        try:
            found = ask()
        except FetchError as error:
            reasons = "; ".join(reason for _, reason in error.details)
            audit.unasked.append(f"{label}: {error.what}: {reasons or error.why}")
            return None
        audit.compared += 1
        audit.differences += [f"{label} {difference}" for difference in found]
        return found

    def _body(self, audit: Audit, sha256: str, body: LockedBody) -> None:
        label = f"{body.url or body.name}:"
        if body.data:
            self._asked(audit, label, partial(_held_differences, sha256, body))
        if body.url and is_permanent(body.url):
            self._asked(audit, label, partial(self._file, body.url, sha256, body.size))
        else:
            audit.changing.append(body.url or body.name)

    def _file(self, url: str, sha256: str, size: int) -> list[str]:
        """Say how what is at URL now differs; raises FetchError."""
        self.show(f"reading {url}")
        *nearer, last = self.sources.addresses(url)
        places = [Source(address, is_mirror=True) for address in nearer] + [Source(last)]
        data = fetch(places, most=LIMITS.size)
        got = hashlib.sha256(data).hexdigest()
        if got != sha256:
            return [f"sha256 {sha256}, there is {got} now"]
        return (
            []
            if len(data) == size
            else [f"size {size}, the source has {counted(len(data), 'byte')}"]
        )


def _held_differences(sha256: str, body: LockedBody) -> list[str]:
    """Say so when what BODY holds itself is not what its hash says."""
    try:
        packed = base64.b64decode(body.data, validate=True)
        data = b"".join(bounded(decoded(iter([packed]), "gzip"), body.size))
    except (ValueError, UnreadableError) as error:
        return [f"its data in vcr.lock cannot be read: {error}"]
    is_it = hashlib.sha256(data).hexdigest() == sha256 and len(data) == body.size
    return [] if is_it else [f"its data in vcr.lock is not {sha256}"]
