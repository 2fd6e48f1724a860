"""Builder of a base layer: Debian packages, or an OCI image, as one `layer.tar`.

Apart from `layer`, so that a change to COPY rebuilds no base. The specification is
JSON: a layer of vcr.model.plan as `spec`, where its files are as `inputs`, `epoch`,
`arch`.
"""

import json
from pathlib import Path
from typing import Any

from vcr.formats.debs import build_base, put_metadata, read_package
from vcr.formats.dpkg import put_apt, put_database
from vcr.formats.failure import guarded
from vcr.formats.oci import Layout
from vcr.formats.tar import LAYER_FILE, write
from vcr.formats.tree import Tree


def main(specification: str, out: str) -> None:
    """Build the base that the JSON file SPECIFICATION describes into directory OUT."""
    job = json.loads(Path(specification).read_bytes())
    guarded(lambda: _build(job, Path(out), Path("scratch").resolve()))


def _build(job: dict[str, Any], out: Path, scratch: Path) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    tree = _tree(job, scratch)
    out.mkdir(parents=True, exist_ok=True)
    write(out / LAYER_FILE, tree.walk(), job["epoch"])


def _tree(job: dict[str, Any], scratch: Path) -> Tree:
    if job["spec"]["op"] == "oci":
        return Layout(Path(job["inputs"][0])).flatten(job["spec"]["manifest"], scratch)
    packages = [read_package(Path(deb), scratch) for deb in job["inputs"]]
    tree = build_base(packages, job["arch"])
    if job["spec"]["configure"]:
        put_database(tree, packages)
        put_apt(tree, job["spec"]["apt_sources"])
    else:
        put_metadata(tree, packages)
    return tree
