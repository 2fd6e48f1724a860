"""What is in an image and its machine, as an SPDX document; a pure function of plan and lock.

https://spdx.github.io/spdx-spec/v2.3/, with the minimum elements of NTIA: each package has a
supplier, a version and an identifier, and is reached from the document. Its time is the locked
one, so it is the same wherever it is made.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from vcr import __version__
from vcr.attest import strict_json
from vcr.attest.predicates import BUILD_COMMENT, OURS, SPDX_VERSION
from vcr.attest.provenance import Pins
from vcr.lock.bases import packages_of, suite_of
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.lockfile import Lock, LockedPackage
from vcr.model.plan import Layer, Plan, Run, files_of, images_of, repositories_of
from vcr.model.profile import PROFILES
from vcr.model.source import Fetched
from vcr.tools.git import directory_of

type Suited = tuple[LockedPackage, str]  # with its suite

DEBIAN = "Debian"
ROOT, MACHINE = "SPDXRef-image", "SPDXRef-machine"
# What RUN is answered with is a package when it looks like one; indexes are not.
PACKAGES = re.compile(r"\.(deb|apk|whl|tgz|tar\.(gz|xz|bz2|zst)|zip|jar|gem|crate)$")
_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-[^-]+){3,4}\.whl")  # PEP 427
_DEB = re.compile(r"(?P<name>[^_]+)_(?P<version>[^_]+)_[^_]+\.deb")


@dataclass(frozen=True)
class Component:
    """One package, by its bytes."""

    name: str
    version: str
    url: str
    sha256: str  # "" for a commit, whose hash is its version
    purl: str = ""
    supplier: str = ""  # "" for the host that it comes from

    @property
    def ident(self) -> str:
        """Return its SPDX identifier."""
        plain = re.sub(r"[^A-Za-z0-9.-]", "-", self.name)
        return f"SPDXRef-{plain}-{(self.sha256 or self.version)[:16]}"

    def as_json(self) -> dict[str, Any]:
        """Return it as an SPDX package."""
        found: dict[str, Any] = {
            "SPDXID": self.ident,
            "name": self.name,
            "versionInfo": self.version or f"sha256:{self.sha256}",
            "supplier": f"Organization: {self.supplier or _host_of(self.url or self.name)}",
            "downloadLocation": self.url or "NOASSERTION",
            "filesAnalyzed": False,
        }
        if self.sha256:
            found["checksums"] = [{"algorithm": "SHA256", "checksumValue": self.sha256}]
        if self.purl:
            found["externalRefs"] = [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": self.purl,
                }
            ]
        return found


def sbom(plan: Plan, lock: Lock, pins: Pins, image: Digest) -> dict[str, Any]:
    """Return the SPDX document of the IMAGE that PLAN builds to; raises OSError."""
    inside, building = _components(plan, lock)
    machine = _machine(plan, pins)
    made = {each.ident: each.as_json() for each in (*inside, *building, *machine)}
    created = dt.datetime.fromtimestamp(plan.epoch, dt.UTC)
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)]
    relations += [(ROOT, "CONTAINS", each.ident) for each in inside]
    relations += [(each.ident, "BUILD_DEPENDENCY_OF", ROOT) for each in building]
    subjects = [_image(plan, image)]
    if machine:
        subjects.append(_of_machine(plan, image))
        relations += [("SPDXRef-DOCUMENT", "DESCRIBES", MACHINE), (MACHINE, "CONTAINS", ROOT)]
        relations += [(MACHINE, "CONTAINS", each.ident) for each in machine]
    return {
        "spdxVersion": SPDX_VERSION,
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": plan.name,
        "comment": BUILD_COMMENT + strict_json.dump(plan.terms).decode(),
        "documentNamespace": f"{OURS}/spdx/{plan.name}/{plan.profile}/{plan.arch}/{image.hex}",
        "creationInfo": {
            "created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            "creators": [f"Tool: vcr-{__version__}"],
        },
        "packages": [*subjects, *(made[ident] for ident in sorted(made))],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in sorted(set(relations))
        ],
    }


def _image(plan: Plan, image: Digest) -> dict[str, Any]:
    return {
        "SPDXID": ROOT,
        "name": plan.name,
        "versionInfo": _version_of(plan, image),
        "supplier": _supplier_of(plan),
        "downloadLocation": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": image.hex}],
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
    }


def _of_machine(plan: Plan, image: Digest) -> dict[str, Any]:
    return {
        "SPDXID": MACHINE,
        "name": f"{plan.name}-machine",
        "versionInfo": _version_of(plan, image),
        "supplier": _supplier_of(plan),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    }


def _version_of(plan: Plan, image: Digest) -> str:
    return _label(plan, "version") or str(image)


def _supplier_of(plan: Plan) -> str:
    """Return who makes the image, by its labels or MAINTAINER; else who makes what has its name."""
    if vendor := _label(plan, "vendor"):
        return f"Organization: {vendor}"
    if author := _label(plan, "authors") or " ".join(plan.image.author.split()):
        return f"Person: {author}"
    return f"Organization: the makers of {plan.name}"


def _label(plan: Plan, name: str) -> str:
    """Return a label of the image-spec's annotations on one line, "" without it."""
    labels: dict[str, str] = plan.image.config.get("Labels") or {}
    return " ".join(labels.get(f"org.opencontainers.image.{name}", "").split())


def _host_of(location: str) -> str:
    """Return the host of an address or of the name of an image, of Docker Hub without one."""
    if "://" in location:
        return urlsplit(location).hostname or location
    host, slash, _ = location.partition("/")
    return host if slash and re.search(r"[.:]|^localhost$", host) else "docker.io"


def _components(plan: Plan, lock: Lock) -> tuple[list[Component], list[Component]]:
    """Return what the layers of the image are made of, and what only other stages used."""
    known = _locked_packages(lock)
    inside: list[Component] = []
    building: list[Component] = []
    for ident, layer in plan.layers.items():
        found = list(_of_layer(layer, known))
        (inside if ident in plan.image.layers else building).extend(found)
    contained = {each.ident for each in inside}
    return inside, [each for each in building if each.ident not in contained]


def _of_layer(layer: Layer, known: Mapping[str, Suited]) -> Iterator[Component]:
    for reference, manifest in images_of(layer).items():
        yield Component(reference, "", "", Digest(manifest).hex)
    for source in repositories_of(layer):
        location = f"git+{source.remote}@{source.commit}"  # SPDX 2.3, section 7.7
        yield Component(directory_of(source.remote), source.commit, location, "")
    for file in files_of(layer):
        if file.sha256 in known:
            yield _debian(*known[file.sha256])
        elif not isinstance(layer, Run) or PACKAGES.search(file.url):
            yield _plain(file)


def _locked_packages(lock: Lock) -> dict[str, Suited]:
    """Return the packages of all bases by their hashes, each with its suite."""
    return {p.sha256: (p, suite_of(b)) for b in lock.bases.values() for p in packages_of(b)}


def _debian(package: LockedPackage, suite: str) -> Component:
    arch = package.name.removesuffix(".deb").rpartition("_")[2]
    purl = _deb_purl(package.package, package.version, arch, suite)
    made = (package.package, package.version, package.url, package.sha256)
    return Component(*made, purl, DEBIAN)


def _deb_purl(name: str, version: str, arch: str, suite: str) -> str:
    """Return the package URL: https://github.com/package-url/purl-spec, type deb."""
    named = f"{quote(name, safe='')}@{quote(version, safe='')}"
    return f"pkg:deb/debian/{named}?arch={arch}&distro={suite}"


def _plain(file: Fetched) -> Component:
    """Return a file that is known by its address only; its name may say more."""
    name = unquote(file.url.rpartition("/")[2]) or file.name
    if match := _WHEEL.fullmatch(name):
        plain = re.sub(r"[-_.]+", "-", match["name"]).lower()  # PEP 503
        purl = f"pkg:pypi/{plain}@{quote(match['version'], safe='')}"
        return Component(plain, match["version"], file.url, file.sha256, purl)
    if match := _DEB.fullmatch(name):  # without the epoch, so no package URL
        return Component(match["name"], match["version"], file.url, file.sha256, supplier=DEBIAN)
    return Component(name, "", file.url, file.sha256)


def machine_packages(plan: Plan, pins: Pins) -> list[tuple[str, dict[str, Any]]]:
    """Return the Debian packages that PLAN's machine is made of, and what is known of each."""
    if len(PROFILES[plan.profile].stages(arch=plan.arch)) == 1:
        return []
    sets = ("guest", "guest-debug") if plan.machine.debug else ("guest",)
    found = list(pins.packages(plan.arch, *sets))
    if _is_cartesi(plan):
        return found
    if plan.machine.kernel == "debian":
        return [*found, *pins.packages(plan.arch, "kernel")]
    # Compiled from source, which is one package for all architectures.
    return [*found, *pins.packages(Arch.AMD64, "kernel-source")]


def _is_cartesi(plan: Plan) -> bool:
    profile = PROFILES[plan.profile]
    is_sealed = profile.is_sealed and profile.has_machines(plan.arch)
    return is_sealed and plan.machine.engine == "cartesi"


def _cartesi_kernel(plan: Plan, pins: Pins) -> Component:
    if own := plan.machine.emulator_kernel:
        return Component("linux-cartesi", "", "", Digest.of_file(Path(own)).hex)
    kernel = pins.cartesi_kernel()
    return Component("linux-cartesi", "", kernel["url"], kernel["sha256"])


def _machine(plan: Plan, pins: Pins) -> list[Component]:
    """Return what a machine has besides the app: its kernel and what starts the container."""
    found = []
    for name, package in machine_packages(plan, pins):
        arch = package["path"].removesuffix(".deb").rpartition("_")[2]
        purl = _deb_purl(name, package["version"], arch, package["suite"])
        made = (name, package["version"], package["url"], package["sha256"])
        found.append(Component(*made, purl, DEBIAN))
    if _is_cartesi(plan):
        found.append(_cartesi_kernel(plan, pins))
    return found
