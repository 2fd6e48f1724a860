"""The components of a build, for people: its SBOM by use."""

from typing import Any

from vcr.attest.make import Maker
from vcr.attest.provenance import Pins
from vcr.attest.sbom import MACHINE, ROOT, machine_packages
from vcr.model.plan import files_of
from vcr.report.page import Component
from vcr.tools.nix import Nix

# (one, relation, other of SPDX; None is the component) → how it is called here
USES = {
    (ROOT, "CONTAINS", None): "in the image",
    (None, "BUILD_DEPENDENCY_OF", ROOT): "only while building",
    (MACHINE, "CONTAINS", None): "of the machine around it",
}


def components_of(maker: Maker) -> dict[str, tuple[Component, ...]]:
    """Return what MAKER's build is made of, by use; uses of nothing are left out."""
    document = maker.statement("sbom").predicate
    packages = {each["SPDXID"]: each for each in document["packages"]}
    sizes = _sizes(maker)
    found: dict[str, tuple[Component, ...]] = {}
    for (one, kind, other), use in USES.items():
        idents = [
            row["relatedSpdxElement" if other is None else "spdxElementId"]
            for row in document["relationships"]
            if row["relationshipType"] == kind
            and one in {None, row["spdxElementId"]}
            and other in {None, row["relatedSpdxElement"]}
        ]
        rows = [_component(packages[ident], sizes) for ident in idents if ident != ROOT]
        if rows:
            found[use] = tuple(sorted(rows, key=lambda each: (-each.size, each.name)))
    return found


def _component(package: dict[str, Any], sizes: dict[str, int]) -> Component:
    sha256 = package["checksums"][0]["checksumValue"]
    references = [row["referenceLocator"] for row in package.get("externalRefs", ())]
    address = references[0] if references else package["downloadLocation"]
    version = package.get("versionInfo", "")
    return Component(package["name"], version, sizes.get(sha256, 0), f"sha256:{sha256}", address)


def _sizes(maker: Maker) -> dict[str, int]:
    """Return the bytes of files by their SHA-256."""
    layers = maker.built.plan.layers.values()
    found = {file.sha256: file.size for layer in layers for file in files_of(layer)}
    pins = Pins(Nix(maker.builder.settings).directory / "pins")
    for _, package in machine_packages(maker.built.plan, pins):
        found[package["sha256"]] = package["size"]
    return found
