"""Jobs of builders are read once, into records; what is wrong with one is said."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from vcr.formats.failure import Failure
from vcr.formats.job import as_record, read_job


@dataclass(frozen=True)
class File:
    path: Path
    kind: Literal["file"]


@dataclass(frozen=True)
class Text:
    text: str
    kind: Literal["text", "words"]


@dataclass(frozen=True)
class Job:
    epoch: int
    share: float
    debug: bool
    sources: tuple[File | Text, ...]
    files: dict[str, Path]
    config: dict[str, Any]
    health: Text | None
    step0: str = ""


JOB = {
    "epoch": 1, "share": 1, "debug": False, "files": {"a": "/x"}, "config": {"Env": [1, None]},
    "sources": [{"kind": "file", "path": "/f"}, {"kind": "words", "text": "t"}], "health": None,
}  # fmt: skip


def test_a_job_is_read_into_what_its_builder_takes(tmp_path: Path) -> None:
    (tmp_path / "job").write_text(json.dumps(JOB))
    job = read_job(Job, str(tmp_path / "job"))
    assert job == Job(
        1, 1, False, (File(Path("/f"), "file"), Text("t", "words")), {"a": Path("/x")},  # noqa: FBT003
        {"Env": [1, None]}, None,
    )  # fmt: skip
    assert as_record(Job, {**JOB, "health": {"kind": "text", "text": "x"}}).health == Text(
        "x", "text"
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"more": 1}, "the job has more, which is unknown"),
        ({"epoch": "1"}, "epoch is not a int"),
        ({"epoch": True}, "epoch is not a int"),
        ({"debug": 0}, "debug is not a bool"),
        ({"files": {"a": 1}}, "files.a is not a Path"),
        ({"files": ["a"]}, "files is not"),
        ({"sources": [{"kind": "file"}]}, "sources has no path"),
        ({"sources": [{"kind": "other"}]}, "sources is of no known kind"),
        ({"sources": [1]}, "sources is of no known kind"),
        ({"sources": {}}, "sources is not"),
        ({"health": []}, "health is not an object"),
    ],
)
def test_another_job_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(Failure) as refused:
        as_record(Job, {**JOB, **changed})
    assert why in refused.value.report["why"]
    assert "the builder test_job " in refused.value.report["what"]


def test_all_that_is_missing_and_unknown_is_named() -> None:
    wrong = {name: value for name, value in JOB.items() if name not in {"epoch", "files"}}
    with pytest.raises(Failure) as refused:
        as_record(Job, {**wrong, "x": 1})
    report = refused.value.report
    assert (
        report["why"]
        == "the job has no epoch; the job has no files; the job has x, which is unknown"
    )
    others: tuple[Any, ...] = (None, [], 5, "x")
    for data in others:
        with pytest.raises(Failure, match="another job than it takes"):
            as_record(Job, data)
