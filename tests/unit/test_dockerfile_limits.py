"""A Dockerfile of a stranger takes little time and memory, and what is too much has its line."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vcr.dockerfile.inputs import external_inputs
from vcr.dockerfile.syntax import parse
from vcr.errors import UsageError
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedImage, LockedManifest
from vcr.model.plan import Plan
from vcr.model.project import load_project
from vcr.planner.project import make_plan

SECONDS = 20
DIGEST = "sha256:" + "a" * 64


def project_of(root: Path, dockerfile: str | bytes, toml: str = "") -> Path:
    data = dockerfile.encode() if isinstance(dockerfile, str) else dockerfile
    (root / "Dockerfile").write_bytes(data)
    (root / "vcr.toml").write_text(toml)
    return root


def planned(root: Path, dockerfile: str | bytes, **config: Any) -> Plan:
    """Plan DOCKERFILE; the image `base` in it has this CONFIG."""
    manifest = LockedManifest(manifest=DIGEST, config=config, blobs={DIGEST: 1})
    base = LockedImage(reference="docker://x", archs={Arch.RISCV64: manifest})
    lock = Lock(epoch=0, inputs={}, urls={}, bases={"base": base})
    project = load_project(project_of(root, dockerfile))
    external_inputs(project)
    return make_plan(project, lock, arch=Arch.RISCV64, profile="vm")


@contextmanager
def soon() -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < SECONDS


FROM = "FROM scratch\n"
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "doubling": (f"{FROM}ENV A=xx\n" + "ENV A=$A$A\n" * 40, r"Dockerfile:19:\d+: .* more than"),
    "doubling ARG": (f"{FROM}ARG A=xx\n" + "ARG A=$A$A\n" * 40, r"Dockerfile:19:\d+: .* more than"),
    "doubling global": ("ARG A=xx\n" + "ARG A=$A$A\n" * 40 + FROM, r"Dockerfile:19:\d+: .* more"),
    "in one word": (f"{FROM}ENV A={'x' * 200_000}\nENV B={'$A' * 90}\n", "Dockerfile:3:.* expands"),
    "replacing": (f"{FROM}ENV A={'x' * 9000}\nENV B=${{A//x/$A}}\n", "Dockerfile:3:.* expands"),
    "here-document": (
        f"{FROM}ENV A={'x' * 200_000}\nCOPY <<E /\n{'$A' * 90}\nE\n",
        "Dockerfile:3:.* expands",
    ),
    "labels": (
        f"{FROM}ENV A={'x' * 200_000}\n" + "LABEL " + " ".join(f"l{n}=$A" for n in range(400)),
        "Dockerfile:3:.*all variables so far expand",
    ),
    "nested": (f"{FROM}ENV A={'${A:-' * 5000}{'}' * 5000}\n", "Dockerfile:2:.*nested too deep"),
    "long pattern": (f"{FROM}ENV A=${{A#{'*a' * 2000}}}\n", "Dockerfile:2:.*pattern of more than"),
    "instructions": (FROM + "LABEL a=b\n" * 100_000, "Dockerfile:5001:.*more than 5000"),
    "stages": ("FROM scratch AS a\n" * 20_000, "Dockerfile:5001:.*more than 5000"),
    "layers": (FROM + "WORKDIR /a\n" * 600, "Dockerfile:502: there are more than 500 layers"),
    "a chain": (
        "FROM scratch AS s0\nWORKDIR /a\n"
        + "".join(f"FROM scratch AS s{n}\nCOPY --from=s{n - 1} / /\n" for n in range(1, 2000)),
        "depend on each other too many times",
    ),
    "ports": (f"{FROM}EXPOSE {'1-65535 ' * 1000}\n", "more than 200000 ports"),
    "NUL": (b"FROM scratch\nCOPY a\0b /\n", "Dockerfile:2:7: there is a NUL"),
    "NUL in JSON": (f'{FROM}COPY ["a\\u0000b", "/"]\n', "Dockerfile:2:1: a word cannot contain"),
    "half a pair in JSON": (f'{FROM}CMD ["\\ud800"]\n', "Dockerfile:2:1: a word cannot contain"),
    "half a pair in health": (f'{FROM}HEALTHCHECK CMD ["\\udfff"]\n', "a word cannot contain"),
    "not UTF-8": (b"FROM scratch\n\xff\n", "Dockerfile:2:1: this is not UTF-8"),
    "too big": (FROM + "#" * (1 << 21), "cannot read Dockerfile"),
    "no end": (f"{FROM}RUN <<A <<B\n" + "x\n" * 200_000, "the here-document A has no end"),
    "no ends": (f"{FROM}RUN {'<<A ' * 200_000}\nA\n", "has no end"),
    "size": (f"{FROM}RUN --mount=type=tmpfs,target=/a,size={'9' * 5000} x\n", "is not a size"),
    "uid": (f"{FROM}RUN --mount=type=cache,target=/a,uid={'9' * 5000} x\n", "is not a number"),
    "negative": (f"{FROM}RUN --mount=type=cache,target=/a,gid=-1 x\n", "out of range"),
    "time": (f"{FROM}HEALTHCHECK --interval={'9' * 400}h CMD x\n", "is not a duration"),
    "name": (f"{FROM}COPY {'x' * 5000} /\n", "is not in the build context"),
    "deep name": (f"{FROM}COPY {'x/' * 5000} /\n", "is not in the build context"),
    "pattern": (f"{FROM}COPY {'*a' * 5000} /\n", "a pattern of more than 4096 characters"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_too_much_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    text, words = REFUSED[name]
    with soon(), pytest.raises(UsageError) as caught:
        planned(tmp_path, text)
    assert re.search(words, f"{caught.value.what} {caught.value.why}"), caught.value


TAKEN = {
    "many variables": f"{FROM}ENV {' '.join(f'a{n}=' for n in range(30_000))}\n"
    f"EXPOSE {'1 ' * 50_000}\n",
    "variables again and again": f"{FROM}ENV {'a= ' * 60_000}\n",
    "a variable that is replaced": FROM + f"ENV a={'x' * 200}\n" * 4000,
    "words": f"{FROM}LABEL {' '.join(f'l{n}=$PATH' for n in range(20_000))}\n",
    "continuations": f"{FROM}LABEL a=b \\\n" + " \\\n" * 300_000 + "c=d\n",
    "spaces in a comment": f"# syntax={'x '}{' ' * 500_000}y\n{FROM}",
    "stages": "".join(f"FROM scratch AS s{n}\n" for n in range(4000)),
    "ARGs and stages": "".join(f"ARG a{n}=b\n" for n in range(2400))
    + "".join(f"FROM scratch AS s{n}\n" for n in range(2400)),
    "a pattern": f"{FROM}ENV A={'a' * 50_000}\n"
    f"ENV B=${{A%{'*a' * 500}b}} C=${{A//{'a*' * 500}b/}}\n",
    "an ARG of no value": "ARG x\nFROM scratch\nARG x\nENV y=$x\n",
}


@pytest.mark.parametrize("name", TAKEN)
def test_much_takes_no_time(tmp_path: Path, name: str) -> None:
    with soon():
        planned(tmp_path, TAKEN[name])


@pytest.mark.parametrize(
    "config",
    [
        {"Env": "A=b"}, {"Env": [1]}, {"Env": ["a\0"]}, {"Cmd": {}}, {"Labels": {"a": 1}},
        {"Labels": []}, {"ExposedPorts": ["80"]}, {"ExposedPorts": {"1.5/tcp": {}}},
        {"ExposedPorts": {"0/tcp": {}}}, {"ExposedPorts": {"٨/tcp": {}}},
        {"User": 0}, {"WorkingDir": []},
        {"Healthcheck": []}, {"Healthcheck": {"Test": "x"}}, {"Healthcheck": {"Interval": "5s"}},
        {"Healthcheck": {"Interval": 1e400}}, {"Healthcheck": {"Retries": -1}},
        {"Healthcheck": {"Timeout": True}}, {"OnBuild": "RUN x"}, {"Shell": ["\ud800"]},
    ],
    ids=str,
)  # fmt: skip
def test_an_image_with_a_wrong_config_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the config of base is wrong"):
        planned(tmp_path, "FROM base\n", **config)


def test_a_port_of_an_image_without_a_protocol_is_of_tcp(tmp_path: Path) -> None:
    ports: dict[str, dict[str, str]] = {"80": {}, "80/TCP": {}, "53/udp": {}, "443/tcp": {}}
    assert planned(tmp_path, "FROM base\n", ExposedPorts=ports).machine.ports == (80, 443)


@pytest.mark.parametrize("trigger", ["", " ", "\n", "NOT x", "FROM x", "COPY", "ENV a\0=b"])
def test_a_wrong_trigger_of_an_image_is_told(tmp_path: Path, trigger: str) -> None:
    with pytest.raises(UsageError):
        planned(tmp_path, "FROM base\n", OnBuild=[trigger])


def test_what_is_null_in_an_image_is_nothing(tmp_path: Path) -> None:
    keys = ("Env", "Cmd", "Labels", "ExposedPorts", "Volumes", "OnBuild", "Healthcheck", "Shell")
    text = "FROM base\nENV a=b\nLABEL c=d\nEXPOSE 80\nVOLUME /v\nONBUILD RUN x\n"
    config = planned(tmp_path, text, **dict.fromkeys(keys)).image.config
    assert config["Labels"] == {"c": "d"}
    assert config["Env"][-1] == "a=b"
    assert config["OnBuild"] == ["RUN x"]


def test_a_directive_keeps_its_value() -> None:
    assert parse("# escape = `  \n# check=a b \nFROM x\n").directives == {
        "escape": "`", "check": "a b",
    }  # fmt: skip


def test_a_deep_context_is_walked(tmp_path: Path) -> None:
    depth = 1200
    at = str(tmp_path)
    for _ in range(depth):
        at += "/d"
        Path(at).mkdir()
    Path(at, "file").write_text("x")
    (tmp_path / ".dockerignore").write_text("**/x\n!y\n")
    with soon():
        made = planned(tmp_path, f"{FROM}COPY . /\n")
    (copy,) = made.layers.values()
    assert "/".join(["d"] * depth + ["file"]) in str(copy)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    old = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(30):  # a path of more than PATH_MAX can only be made step by step
            Path("n" * 200).mkdir()
            os.chdir("n" * 200)
    finally:
        os.chdir(old)
    with pytest.raises(UsageError, match="cannot be read"):
        planned(tmp_path, f"{FROM}COPY . /\n")
