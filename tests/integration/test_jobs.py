"""What Nix gives each builder is what the builder takes: by evaluation, nothing is built."""

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vcr.errors import VcrError
from vcr.formats.failure import Failure
from vcr.formats.job import as_record
from vcr.model.arch import Arch
from vcr.model.health import HealthCheck, HttpProbe
from vcr.model.plan import (
    Additions,
    BuildMachine,
    Copy,
    Debs,
    Exchange,
    Image,
    Layer,
    Machine,
    OciBase,
    Plan,
    Run,
    RunMount,
    Workdir,
)
from vcr.model.source import ContextSource, Fetched, GitSource, InlineSource, StageSource, UrlSource
from vcr.settings import Settings
from vcr.tools.derivation import read_closure
from vcr.tools.nar import nar_sha256
from vcr.tools.nix import Nix

pytestmark = pytest.mark.nix

STAGES = Path(__file__).resolve().parents[2] / "nix/stages"
DIGEST = "sha256:" + "0" * 64
FILE = Fetched("https://h.example/a.deb", "0" * 64, 1, "a.deb")
CALL = re.compile(r"from vcr\.sandbox\.([\w.]+) import (\w+)")
# The record of an entry that is not `main`, and of the one that takes none.
RECORDS = {"prepare": "Job", "finish": "Finish", "main": "Job"}
WITHOUT_JOB = {"squashfs"}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Return a plan that has every kind of layer, source and mount."""
    (tmp_path / "x").write_text("x")
    context = ContextSource("x", "x", ("x",), nar=nar_sha256(tmp_path, ["x"]))
    stage = StageSource("/x", ("debs",))
    url, nar = UrlSource(FILE, "a"), f"sha256-{'A' * 43}="
    git = GitSource("https://h.example/r.git", "0" * 40, "", "", "", False, nar)  # noqa: FBT003
    sources = (context, stage, InlineSource("t", "text"), url, git)
    mounts = (
        RunMount("bind", "/c", context), RunMount("bind", "/s", stage), RunMount("tmpfs", "/t"),
        RunMount("cache", "/k", carry="k", carried_from="first"), RunMount("cache", "/e"),
    )  # fmt: skip
    exchange = Exchange("GET", "http://h.example/", "", "", 200, {"a": "b"}, FILE.sha256, 1)
    first = Run(("/x",), ("debs",), (), "", "/", Arch.RISCV64, mounts=(RunMount("cache", "/k"),))
    run = replace(
        first, lower=("debs", "oci"), mounts=mounts, exchanges=(exchange,), bodies=(FILE,)
    )
    layers: dict[str, Layer] = {
        "debs": Debs((FILE,), configure=True, apt_sources="x", arch=Arch.AMD64),
        "oci": OciBase("docker://h.example/x", {DIGEST: 1}, {}, DIGEST, {}),
        "copy": Copy(sources, "/d/", ("debs",)),
        "additions": Additions(("debs",), {"/a": "b"}, {"/c": "d"}, {"e": 1}),
        "workdir": Workdir("/w", ("debs", "copy")),
        "first": first,
        "run": run,
        "amd64": replace(run, arch=Arch.AMD64),
    }
    health = HealthCheck(HttpProbe(80, "/"), 1, 1, 1, 1, 1)
    return Plan(
        "app", "prod", Arch.RISCV64, 1, str(tmp_path), layers, Image(tuple(layers), {"Cmd": ["x"]}),
        Machine(128, 1, (80,), health, writable=False), BuildMachine(512, ("logs",)),
    )  # fmt: skip


def jobs(plan: Plan, tmp_path: Path, *attrs: str) -> list[tuple[str, str, Any]]:
    """Return (builder, entry, job) of every builder that ATTRS of PLAN are made by."""
    (tmp_path / "plan.json").write_text(plan.to_json())
    nix = Nix(Settings.load({"HOME": str(tmp_path)}))
    targets = nix.evaluate(attrs, tmp_path / "plan.json").targets
    found = []
    for drv, derivation in read_closure(target.drv for target in targets).items():
        calls = CALL.findall(drv.read_text(encoding="utf-8", errors="replace"))
        for builder, entry in calls:
            name = "finish" if entry == "finish" else "job"
            found.append((builder, entry, json.loads(derivation.env.get(name, "null"))))
    return found


def check(builder: str, entry: str, job: Any) -> None:
    if builder in WITHOUT_JOB:
        assert job is None
        return
    module = importlib.import_module(f"vcr.sandbox.{builder}")
    as_record(getattr(module, RECORDS[entry]), job)


def test_every_builder_gets_the_job_that_it_takes(plan: Plan, tmp_path: Path) -> None:
    found = jobs(plan, tmp_path, "emulation", "prod", "vm", "container", "samples", "image")
    cartesi = replace(plan, machine=replace(plan.machine, engine="cartesi", health=None))
    found += jobs(cartesi, tmp_path, "seal")
    for builder, entry, job in found:
        check(builder, entry, job)
    modules = STAGES.parents[1] / "vcr/sandbox"
    builders = {
        ".".join(path.relative_to(modules).with_suffix("").parts)
        for path in modules.rglob("*.py")
        if "def main(" in path.read_text()
    }
    assert {builder for builder, _, _ in found} == builders | {"rootfs"}
    # A key too many or too few is seen.
    builder, entry, job = next(each for each in found if each[0] == "run")
    with pytest.raises(Failure, match="the builder run was given another job"):
        check(builder, entry, {**job, "more": 1})


def test_a_plan_of_another_schema_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(VcrError) as refused:
        jobs(replace(plan, schema=plan.schema + 1), tmp_path, "image")
    assert f"the plan is of schema {plan.schema + 1}, not {plan.schema}" in "".join(
        refused.value.tail
    )
