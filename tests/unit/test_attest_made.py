"""Provenance and SBOM of the examples: pure functions of project, lock and pins."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vcr.attest.cyclonedx import from_spdx
from vcr.attest.predicates import Host, build_of, check_predicate, time_of, with_time
from vcr.attest.provenance import Pins, provenance, source_descriptor
from vcr.attest.sbom import _host_of, _machine, sbom
from vcr.attest.source import Revision
from vcr.attest.statement import Statement
from vcr.lock.read import load_lock
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.planner.prepare import prepare
from vcr.tools.git import public_uri

REPO = Path(__file__).resolve().parents[2]
PINS = Pins(REPO / "nix/pins")
HOST = Host("x86_64-linux")
IMAGE = Digest.of_bytes(b"image")
EXAMPLES = ("c", "flask", "hello", "node", "static")


def made_sbom(
    name: str, *, arch: Arch = Arch.RISCV64, profile: str = "vm", **machine: Any
) -> dict[str, Any]:
    project, plan = prepare(REPO / "examples" / name, arch=arch, profile=profile)
    plan = replace(plan, machine=replace(plan.machine, **machine))
    return sbom(plan, load_lock(project), PINS, IMAGE)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_sbom_has_what_spdx_requires(name: str) -> None:
    document = made_sbom(name)
    assert document == made_sbom(name)
    required = {"spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo"}
    assert required <= document.keys()  # clause 6 of SPDX 2.3; of packages, 7
    assert document["documentNamespace"].startswith("https://")
    assert "#" not in document["documentNamespace"]
    assert re.fullmatch(r"\d{4}(-\d\d){2}T(\d\d:){2}\d\dZ", document["creationInfo"]["created"])
    identifiers = [package["SPDXID"] for package in document["packages"]]
    assert len(set(identifiers)) == len(identifiers)
    for package in document["packages"]:
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"])
        assert {"name", "downloadLocation", "filesAnalyzed"} <= package.keys()
    known = {*identifiers, "SPDXRef-DOCUMENT"}
    for relation in document["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= known
    assert check_predicate(Statement({"image": IMAGE}, "https://spdx.dev/Document", document)) == (
        "sbom"
    )


def related(document: dict[str, Any], kind: str) -> set[str]:
    names = {package["SPDXID"]: package["name"] for package in document["packages"]}
    return {
        f"{names.get(row['spdxElementId'])} {names.get(row['relatedSpdxElement'])}"
        for row in document["relationships"]
        if row["relationshipType"] == kind
    }


def test_an_sbom_tells_what_is_inside_from_what_only_built_it() -> None:
    document = made_sbom("c")
    assert "gcc c" in related(document, "BUILD_DEPENDENCY_OF")
    assert "c gcc" not in related(document, "CONTAINS")
    assert "c-machine crun" in related(document, "CONTAINS")
    assert "static busybox-static" in related(made_sbom("static"), "CONTAINS")


def test_a_debian_package_has_its_version_and_address() -> None:
    (package,) = [p for p in made_sbom("static")["packages"] if p["name"] == "busybox-static"]
    assert package["versionInfo"] == "1:1.37.0-6+b9"
    assert package["externalRefs"][0]["referenceLocator"] == (
        "pkg:deb/debian/busybox-static@1%3A1.37.0-6%2Bb9?arch=riscv64&distro=trixie"
    )
    assert package["downloadLocation"].startswith("https://snapshot.debian.org/archive/debian/")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_sbom_has_the_minimum_elements_of_ntia(name: str) -> None:
    """NTIA, The Minimum Elements For a Software Bill of Materials, 2021, table 1."""
    document = made_sbom(name, profile="prod")
    for package in document["packages"]:
        assert package["name"]
        assert package["versionInfo"]
        assert re.fullmatch(r"(Organization|Person): \S.*", package["supplier"])
        assert (
            package.get("checksums")
            or package["downloadLocation"] != "NOASSERTION"
            or (package["SPDXID"] == "SPDXRef-machine")
        )
    kinds = {"DESCRIBES", "CONTAINS"}
    reached, built = {"SPDXRef-DOCUMENT"}, set()
    for _ in document["packages"]:
        for row in document["relationships"]:
            one, kind, other = (
                row[key] for key in ("spdxElementId", "relationshipType", "relatedSpdxElement")
            )
            if kind in kinds and one in reached:
                reached.add(other)
            elif kind == "BUILD_DEPENDENCY_OF" and other in reached:
                built.add(one)
    assert {package["SPDXID"] for package in document["packages"]} <= reached | built


@pytest.mark.parametrize("name", EXAMPLES)
def test_cyclonedx_says_the_same_as_spdx(name: str) -> None:
    document = made_sbom(name, profile="prod")
    made = from_spdx(document)
    assert made == from_spdx(made_sbom(name, profile="prod"))
    components = [made["metadata"]["component"], *made["components"]]
    assert [row["bom-ref"] for row in components] == [p["SPDXID"] for p in document["packages"]]
    for row, package in zip(components, document["packages"], strict=True):
        assert (row["name"], row["version"]) == (package["name"], package["versionInfo"])
        assert package["supplier"].endswith(row["supplier"]["name"])
    assert components[0]["type"] == "container"
    built = {words.partition(" ")[0] for words in related(document, "BUILD_DEPENDENCY_OF")}
    assert {row["name"] for row in components if row["scope"] == "excluded"} == built
    refs = {row["bom-ref"] for row in components}
    assert {row["ref"] for row in made["dependencies"]} == refs
    for row in made["dependencies"]:
        assert row["ref"] not in row["dependsOn"]
        assert refs.issuperset(row["dependsOn"])
    said = Statement({"image": IMAGE}, "https://cyclonedx.org/bom", made)
    assert check_predicate(said) == "cyclonedx"
    spdx = Statement({"image": IMAGE}, "https://spdx.dev/Document", document)
    assert build_of(said) == build_of(spdx)
    assert time_of(said) == time_of(spdx)
    later = with_time("cyclonedx", made, "2030-01-01T00:00:00Z")
    assert later["metadata"]["timestamp"] == "2030-01-01T00:00:00Z"


def test_labels_say_who_makes_an_image_and_its_version() -> None:
    image = made_sbom("static")["packages"][0]
    assert (image["supplier"], image["versionInfo"]) == (
        "Organization: the makers of static",
        IMAGE,
    )
    project, plan = prepare(REPO / "examples/static", arch=Arch.RISCV64, profile="vm")
    lock, prefix = load_lock(project), "org.opencontainers.image"
    labels = {f"{prefix}.vendor": "A  Company\nof two", f"{prefix}.version": "1.2"}

    def made(config: dict[str, Any], author: str = "") -> tuple[str, str]:
        changed = replace(plan, image=replace(plan.image, config=config, author=author))
        package = sbom(changed, lock, PINS, IMAGE)["packages"][0]
        return package["supplier"], package["versionInfo"]

    assert made({"Labels": labels}) == ("Organization: A Company of two", "1.2")
    assert made({"Labels": None}, "Ann <ann@example.org>") == (
        "Person: Ann <ann@example.org>",
        IMAGE,
    )


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://user@files.example.org:8443/a.whl", "files.example.org"),
        ("git+https://example.org/a@abc", "example.org"),
        ("registry.example.org:5000/team/app:1", "registry.example.org:5000"),
        ("localhost/app", "localhost"),
        ("python:3.13-slim", "docker.io"),
        ("team/app", "docker.io"),
    ],
)
def test_where_a_component_comes_from(location: str, host: str) -> None:
    assert _host_of(location) == host


def test_what_pip_fetched_is_in_it() -> None:
    document = made_sbom("flask")
    assert "flask flask" in related(document, "CONTAINS")
    (package,) = [p for p in document["packages"] if p["name"] == "flask" and "externalRefs" in p]
    purl = package["externalRefs"][0]["referenceLocator"]
    assert purl == f"pkg:pypi/flask@{package['versionInfo']}"


def test_an_image_without_a_machine_has_none() -> None:
    for choices in ({"profile": "dev"}, {"profile": "prod"}):
        made = made_sbom("hello", arch=Arch.AMD64, **choices)
        names = {package["name"] for package in made["packages"]}
        assert "hello" in names
        assert not {"hello-machine", "crun"} & names


@pytest.mark.parametrize("arch", [Arch.AMD64, Arch.ARM64])
def test_a_machine_is_made_of_packages_of_its_architecture(arch: Arch) -> None:
    made = made_sbom("hello", arch=arch, profile="vm")
    (crun,) = (package for package in made["packages"] if package["name"] == "crun")
    assert any(f"arch={arch}&" in str(ref) for ref in crun["externalRefs"])


def of_machine(**choices: Any) -> set[str]:
    of = "static-machine "
    related_to = related(made_sbom("static", **choices), "CONTAINS")
    return {words.removeprefix(of) for words in related_to if words.startswith(of)}


def test_a_machine_is_what_its_profile_makes_of_it() -> None:
    release = of_machine(profile="prod")
    assert {"crun", "busybox-static", "linux-source-6.12"} <= release
    assert of_machine(profile="vm-release") == release
    for profile in ("vm", "prod-debug"):
        assert {"dropbear-bin", "rsync"} <= of_machine(profile=profile) - release
    debians = of_machine(profile="prod", kernel="debian")
    assert {"linux-source-6.12"} == release - debians
    assert any(name.startswith("linux-image-") for name in debians)
    assert of_machine(profile="prod", engine="cartesi") - {"linux-cartesi"} == release - {
        "linux-source-6.12"
    }


def test_a_kernel_of_ones_own_is_listed_by_its_bytes(tmp_path: Path) -> None:
    own = tmp_path / "linux.bin"
    own.write_bytes(b"one")
    _, plan = prepare(REPO / "examples" / "static", arch=Arch.RISCV64, profile="prod")
    machine = replace(plan.machine, engine="cartesi", emulator_kernel=str(own))
    (kernel,) = [c for c in _machine(replace(plan, machine=machine), PINS) if "linux" in c.name]
    assert (kernel.url, kernel.sha256) == ("", Digest.of_bytes(b"one").hex)


def test_the_source_of_the_kernel_is_the_same_on_every_host() -> None:
    (first,), (second,) = (PINS.packages(arch, "kernel-source") for arch in ("amd64", "arm64"))
    assert first == second


def made_provenance(source: Revision | None) -> dict[str, Any]:
    project, plan = prepare(REPO / "examples" / "static", arch=Arch.RISCV64, profile="vm")
    return provenance(project, plan, source, PINS, HOST)


def test_provenance_names_source_lock_and_tools() -> None:
    source = Revision("a" * 40, "https://host.example/repo")
    definition = made_provenance(source)["buildDefinition"]
    by_name = {row["name"]: row for row in definition["resolvedDependencies"]}
    assert by_name["source"] == {
        "name": "source",
        "digest": {"gitCommit": "a" * 40},
        "uri": f"git+https://host.example/repo@{'a' * 40}",
    }
    lock = REPO / "examples/static/vcr.lock"
    assert by_name["vcr.lock"]["digest"] == {"sha256": Digest.of_file(lock).hex}
    assert {"Dockerfile", "vcr.toml", "toolchain/debian-amd64.json"} <= by_name.keys()
    assert any(name.startswith("busybox-static_") for name in by_name)
    terms = definition["externalParameters"]
    assert (terms["name"], terms["profile"]) == ("static", "vm")
    assert terms["engine"] == "qemu"
    assert terms["engine_version"].startswith("1:10.0")


def test_provenance_has_no_path_of_this_host_and_no_time() -> None:
    text = json.dumps(made_provenance(None))
    assert str(REPO) not in text
    assert "finishedOn" not in text
    assert made_provenance(None) == made_provenance(None)


def test_a_source_that_was_changed_says_so() -> None:
    changed = source_descriptor(Revision("a" * 40, "", ("app.py",)))
    told = {"changed": True, "changedFiles": ["app.py"], "changedCount": 1}
    assert changed["annotations"] == told
    assert "uri" not in changed


@pytest.mark.parametrize(
    ("origin", "uri"),
    [
        ("https://host.example/o/r.git", "https://host.example/o/r.git"),
        ("https://user:secret@host.example:8443/r", "https://host.example:8443/r"),
        ("git@host.example:o/r.git", "ssh://host.example/o/r.git"),
        ("ssh://git@host.example/r", "ssh://host.example/r"),
        ("/srv/git/r", ""),
        ("../r", ""),
        ("file:///srv/git/r", ""),
        ("https://host.example:port/r", ""),
        ("https://host.example/\x1b[2J", ""),
        ("https://host.example/a b", ""),
        ("", ""),
    ],
)
def test_an_origin_lets_nobody_in(origin: str, uri: str) -> None:
    assert public_uri(origin) == uri
