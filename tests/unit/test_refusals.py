"""What vcr refuses in a Dockerfile has a place, and words about what to write instead."""

from pathlib import Path

import pytest

from vcr.dockerfile.syntax import FLAGS, parse
from vcr.errors import UsageError
from vcr.lock.inputs import wanted_inputs
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock
from vcr.model.project import load_project
from vcr.planner.project import make_plan

LOCK = Lock.model_validate({"schema": 1, "epoch": 7, "inputs": {}, "bases": {}, "urls": {}})


def refusal(root: Path, dockerfile: str | bytes) -> UsageError:
    """Return the error about DOCKERFILE, of `vcr lock` or of the plan."""
    data = dockerfile if isinstance(dockerfile, bytes) else dockerfile.encode()
    (root / "Dockerfile").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read(root)
    return caught.value


def read(root: Path) -> None:
    wanted_inputs(load_project(root))
    make_plan(load_project(root), LOCK, arch=Arch.RISCV64, profile="vm")


@pytest.mark.parametrize("keyword", sorted(FLAGS.keys() - {"CMD", "ENTRYPOINT", "RUN"}))
def test_an_instruction_without_anything_says_what_it_takes(keyword: str) -> None:
    with pytest.raises(UsageError, match=f"{keyword} needs an argument") as caught:
        parse(f"FROM scratch\n{keyword}\n")
    assert caught.value.fix.startswith(f"write {keyword} ")


@pytest.mark.parametrize(
    ("dockerfile", "place", "words", "fix"),
    [
        ("FROM scratch AS ${A}", "1:17", "a variable is not expanded there", "lower case"),
        ("FROM scratch AS a/b", "1:17", "letters, digits", "lower case"),
        ("FROM <PREFIX>app", "1:1", "no [base]", "HOST/NAME:TAG"),
        ("ARG V\nFROM --platform=linux/$V a", "2:1", "a variable in it has no value", "ARG"),
        ("FROM scratch\nARG V=b\nCOPY --from=$V /a /a", "3:1", "Docker does not expand", "FROM $V"),
        ("FROM scratch\nRUN --mount=from=a$V true", "2:1", "Docker does not expand", "FROM a$V AS"),
        ("FROM scratch\nENV A=${V:?}", "2:5", "V: is not set or empty", "give V a value"),
        ("FROM scratch\nENV A=${V?no}", "2:5", "V: no", "give V a value"),
        ("FROM scratch\nENV A='b", "2:5", "is not closed", "close it"),
        ("FROM scratch\nRUN --mount=type=ssh true", "2:1", "no ssh agent", "https"),
        ("FROM scratch\nCOPY --from=0 a b", "2:1", "no stage 0", "name"),
        ("FROM scratch\nONBUILD FROM x", "2:1", "ONBUILD FROM is not allowed", "instruction"),
        ("FROM scratch\nHEALTHCHECK --retries=x CMD a", "2:1", "--retries", "--retries=3"),
        ("FROM scratch\nHEALTHCHECK --interval=5 CMD a", "2:1", "--interval", "--interval=5s"),
        (b"FROM scratch\n# caf\xe9\nENV A=1", "2:6", "not UTF-8", "as UTF-8"),
        (b"\xff\xfeF\0R\0O\0M\0", "1:1", "not UTF-8", "as UTF-8"),
    ],
)
def test_a_refusal_has_a_place_and_a_fix(
    tmp_path: Path, dockerfile: str | bytes, place: str, words: str, fix: str
) -> None:
    error = refusal(tmp_path, dockerfile)
    assert error.what.startswith(f"Dockerfile:{place}: ")
    assert words in f"{error.what} {error.why}"
    assert fix in error.fix
