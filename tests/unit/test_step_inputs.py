"""What decides a RUN: each kind of input changes its digest, and nothing else does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vcr.build.lock_session import Steps
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedDebian, LockedFile, LockedPackage
from vcr.model.project import load_project
from vcr.planner.project import make_plan

URL = "https://example.test/added"
DOCKERFILE = """\
# a comment
FROM base AS other
RUN echo other
FROM base
ARG SIZE=1
ENV COLOUR=red
COPY script /script
ADD https://example.test/added /added
COPY --from=other /etc/hostname /name
RUN echo first
RUN --mount=type=secret,id=token --mount=target=/context,source=bound /script $SIZE
RUN echo later
"""


@dataclass
class Inputs:
    """What a project is made of."""

    dockerfile: str = DOCKERFILE
    toml: str = ""
    files: dict[str, str] = field(
        default_factory=lambda: {"script": "ask", "bound/a": "a", "unused": "u"}
    )
    arch: Arch = Arch.RISCV64
    epoch: int = 7
    package: str = "a" * 64
    added: str = "b" * 64
    address: str = "https://example.test/pool/a.deb"


def lock_of(inputs: Inputs) -> Lock:
    package = LockedPackage(
        name="a.deb",
        sha256=inputs.package,
        size=1,
        url=inputs.address,
        package="a",
        version="1",
    )
    base = LockedDebian(
        suite="s", snapshot="20260101T000000Z", archs=dict.fromkeys(Arch, (package,))
    )
    added = LockedFile(name="added", sha256=inputs.added, size=1, url=URL)
    told = {"schema": 1, "epoch": inputs.epoch, "inputs": {}}
    return Lock.model_validate({**told, "bases": {"base": base}, "urls": {URL: added}})


def steps_of(root: Path, inputs: Inputs) -> Steps:
    root.mkdir(exist_ok=True)
    (root / "Dockerfile").write_text(inputs.dockerfile)
    (root / "vcr.toml").write_text(inputs.toml)
    for name, text in inputs.files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    plan = make_plan(load_project(root), lock_of(inputs), arch=inputs.arch, profile="vm")
    return Steps.of(plan, root.parent / "cache")


def digest(root: Path, inputs: Inputs) -> str:
    steps = steps_of(root, inputs)
    (ident,) = (i for i, run in steps.runs.items() if "/script" in run.argv[-1])
    return steps.inputs[ident]


def put(old: str, new: str) -> dict[str, Any]:
    assert old in DOCKERFILE
    return {"dockerfile": DOCKERFILE.replace(old, new)}


FILES = Inputs().files
CHANGES = {
    "the command": put("/script $SIZE", "/script $SIZE 2"),
    "base": {"package": "c" * 64},
    "architecture": {"arch": Arch.ARM64},
    "time": {"epoch": 8},
    "earlier layer": put("echo first", "echo second"),
    "no earlier layer": put("RUN echo first\n", ""),
    "file of the context": {"files": {**FILES, "script": "ask for more"}},
    "file that is mounted": {"files": {**FILES, "bound/a": "b"}},
    "another file that is mounted": {"files": {**FILES, "bound/b": "a"}},
    "where it is mounted": put("/context", "/elsewhere"),
    "what is mounted": put("source=bound", "source=bound/a"),
    "a mount that is written to": put("source=bound", "source=bound,rw"),
    "id of a secret": put("id=token", "id=other"),
    "mode of a secret": put("id=token", "id=token,mode=0444"),
    "default of an argument": put("SIZE=1", "SIZE=2"),
    "argument": {"toml": "[args]\nSIZE = '3'\n"},
    "environment": put("COLOUR=red", "COLOUR=blue"),
    "user": put("RUN echo first\n", "RUN echo first\nUSER nobody\n"),
    "directory": put("RUN echo first\n", "RUN echo first\nWORKDIR /x\n"),
    "shell": put("RUN echo first\n", 'RUN echo first\nSHELL ["/bin/bash", "-c"]\n'),
    "file of ADD": {"added": "d" * 64},
    "step of another stage": put("echo other", "echo another"),
    "owner of a file": put("COPY script", "COPY --chown=1 script"),
    "network": put("RUN --mount=type=secret", "RUN --network=none --mount=type=secret"),
    "rules of layers": {"toml": "[normalize]\nlogs = false\n"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_decides_a_step_changes_its_digest(tmp_path: Path, change: dict[str, Any]) -> None:
    before = digest(tmp_path / "app", Inputs())
    assert digest(tmp_path / "app", Inputs(**change)) != before
    assert digest(tmp_path / "app", Inputs(files=Inputs().files)) == before or "files" in change


@pytest.mark.parametrize(
    "change",
    [
        put("# a comment", "# a comment\n\n# and one more"),
        put("echo later", "echo later still"),
        {"files": {**FILES, "unused": "v"}},
        {"address": "https://example.test/elsewhere/a.deb"},
        {"toml": "[machine]\nmemory = '256 MiB'\n"},
    ],
    ids=["comment", "later step", "file that nothing takes", "address", "machine"],
)
def test_what_does_not_decide_it_leaves_it(tmp_path: Path, change: dict[str, Any]) -> None:
    assert digest(tmp_path / "app", Inputs(**change)) == digest(tmp_path / "app", Inputs())


def test_the_same_command_waits_and_independent_stages_do_not(tmp_path: Path) -> None:
    dockerfile = """\
FROM base AS a
RUN fetch a
RUN both
FROM base AS b
RUN fetch b
RUN both
FROM base
COPY --from=a / /
RUN --mount=from=b,target=/b last
"""
    steps = steps_of(tmp_path / "app", Inputs(dockerfile=dockerfile))
    words = {ident: run.argv[-1] for ident, run in steps.runs.items()}
    idents = {word: ident for ident, word in words.items()}
    assert [words[i] for i in steps.ready(())] == ["fetch a", "fetch b"]
    done = {idents["fetch a"], idents["fetch b"]}
    (first,) = steps.ready(done)  # the other may do with its answers
    assert words[first] == "both"
    (second,) = steps.ready(done | {first})
    assert words[second] == "both"
    assert second != first
    assert [words[i] for i in steps.ready(done | {first, second})] == ["last"]
    assert steps.below[idents["last"]] == done | {first, second}
