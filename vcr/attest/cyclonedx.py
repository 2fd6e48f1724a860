"""The same SBOM as a CycloneDX document, made of the SPDX one; a pure function of it.

https://cyclonedx.org/docs/1.6/json/. What only other stages used has the scope `excluded`: it is
not in the image.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from vcr.attest.predicates import BUILD_COMMENT, BUILD_PROPERTY, CYCLONEDX_VERSION

_PURPOSES = {"CONTAINER": "container", "OPERATING-SYSTEM": "operating-system"}


def from_spdx(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the SPDX DOCUMENT, one of vcr.attest.sbom, as CycloneDX."""
    relations = [
        (row["spdxElementId"], row["relationshipType"], row["relatedSpdxElement"])
        for row in document["relationships"]
    ]
    built = {one for one, kind, _ in relations if kind == "BUILD_DEPENDENCY_OF"}
    rows = {row["SPDXID"]: _component(row, is_inside=row["SPDXID"] not in built)
            for row in document["packages"]}  # fmt: skip
    image, *others = rows.values()
    made = document["creationInfo"]
    tool, _, version = made["creators"][0].removeprefix("Tool: ").rpartition("-")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": CYCLONEDX_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, document['documentNamespace'])}",
        "version": 1,
        "metadata": {
            "timestamp": made["created"],
            "tools": {"components": [{"type": "application", "name": tool, "version": version}]},
            "component": image,
            "properties": [
                {"name": BUILD_PROPERTY, "value": document["comment"].removeprefix(BUILD_COMMENT)}
            ],
        },
        "components": others,
        "dependencies": _dependencies(rows, relations),
    }


def _dependencies(
    rows: Iterable[str], relations: Iterable[tuple[str, str, str]]
) -> list[dict[str, Any]]:
    """Return for each of ROWS what it directly has in it, or was built with."""
    found: dict[str, set[str]] = {ref: set() for ref in rows}
    for one, kind, other in relations:
        if kind == "CONTAINS":
            found[one].add(other)
        elif kind == "BUILD_DEPENDENCY_OF":
            found[other].add(one)
    return [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in sorted(found.items())]


def _component(row: Mapping[str, Any], *, is_inside: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": _PURPOSES.get(row.get("primaryPackagePurpose", ""), "library"),
        "bom-ref": row["SPDXID"],
        "supplier": {"name": row["supplier"].partition(": ")[2]},
        "name": row["name"],
        "version": row["versionInfo"],
        "scope": "required" if is_inside else "excluded",
    }
    if sums := row.get("checksums"):
        found["hashes"] = [{"alg": "SHA-256", "content": each["checksumValue"]} for each in sums]
    for each in row.get("externalRefs", ()):
        found["purl"] = each["referenceLocator"]
    if row["downloadLocation"] != "NOASSERTION":
        found["externalReferences"] = [{"type": "distribution", "url": row["downloadLocation"]}]
    return found
