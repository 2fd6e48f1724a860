import io
import json
import time

import pytest

from vcr.errors import UsageError, VcrError
from vcr.progress import Progress, choose_display
from vcr.progress.live import Live
from vcr.progress.plain import Plain
from vcr.progress.step import Step
from vcr.ui import Ui, aligned, human_size


def make_ui(progress: Progress = Progress.PLAIN) -> Ui:
    return Ui(out=io.StringIO(), err=io.StringIO(), progress=progress)


def text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_data_and_notes_go_to_different_streams() -> None:
    ui = make_ui()
    ui.data("asked for")
    ui.note("by the way")
    assert text(ui.out) == "asked for\n"
    assert text(ui.err) == "by the way\n"


def test_json_is_one_versioned_object() -> None:
    ui = make_ui()
    ui.json("build", {"ladder": []})
    assert json.loads(text(ui.out)) == {"schema": 1, "kind": "build", "ladder": []}


def test_the_cause_of_an_error_is_the_last_thing_on_the_screen() -> None:
    ui = make_ui()
    error = UsageError(
        "wrong", why="because", fix="do this", details=[("got", "1"), ("expected", "2")], tail=["x"]
    )
    ui.error(error)
    assert text(ui.err).splitlines() == [
        "  | x",
        "error: wrong",
        "  got       1",
        "  expected  2",
        "  why: because",
        "  fix: do this",
    ]


def test_quiet_keeps_warnings_and_errors_only() -> None:
    ui = make_ui()
    ui.verbosity = -1
    ui.note("no")
    ui.warn("yes")
    with ui.step("image") as step:
        step.because("no")
    assert text(ui.err) == "warning: yes\n"


def test_a_plain_step_says_cached_or_why() -> None:
    ui = make_ui()
    with ui.step("image") as step:
        step.cached()
    with ui.step("rootfs") as step:
        step.line("hidden detail")
        step.because("app.py changed")
    first, second = text(ui.err).splitlines()
    assert first == "image        cached"
    assert second.startswith("rootfs")
    assert second.endswith("app.py changed")


def fail_in_a_step(ui: Ui) -> None:
    with ui.step("image") as step:
        step.line("the reason is here")
        raise VcrError("failed")


def test_a_failure_is_never_folded_away() -> None:
    for mode in (Progress.PLAIN, Progress.QUIET, Progress.TTY):
        ui = make_ui(mode)
        with pytest.raises(VcrError):
            fail_in_a_step(ui)
        assert "  | the reason is here" in text(ui.err)


def test_a_silent_step_gives_signs_of_life() -> None:
    err = io.StringIO()
    with Step("image", Plain(err, heartbeat=0.02)).running():
        while err.getvalue().count("still running") < 2:
            time.sleep(0.01)
    assert err.getvalue().count("still running") >= 2


def test_json_progress_is_json_lines() -> None:
    ui = make_ui(Progress.JSON)
    with ui.step("image") as step:
        step.because("first build")
    events = [json.loads(line) for line in text(ui.err).splitlines()]
    assert [event["event"] for event in events] == ["start", "done"]
    assert events[1]["outcome"] == "first build"


def test_ci_logs_are_plain_even_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(choose_display(Progress.AUTO, Terminal(), ci=True, verbose=False), Plain)
    assert isinstance(choose_display(Progress.AUTO, Terminal(), ci=False, verbose=False), Live)


def test_columns_line_up() -> None:
    assert aligned([("a", "bb"), ("ccc", "d")]) == ["a    bb", "ccc  d"]
    assert aligned([]) == []


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes_for_people(size: int, shown: str) -> None:
    assert human_size(size) == shown


def test_notes_are_json_where_progress_is() -> None:
    ui = make_ui(Progress.JSON)
    ui.note("a\nb")
    ui.warn("c")
    ui.detail("not shown")
    ui.verbosity = 1
    ui.detail("d\x1b[31m")
    error = VcrError("e", why="f", fix="g", tail=["h\x1b[2J"], details=(("got", "i"),))
    ui.error(error)
    assert "\x1b" not in text(ui.err)
    assert [json.loads(line) for line in text(ui.err).splitlines()] == [
        {"schema": 1, "event": "note", "text": "a\nb"},
        {"schema": 1, "event": "warning", "text": "c"},
        {"schema": 1, "event": "detail", "text": "d\x1b[31m"},
        {"schema": 1, "event": "error", "what": "e", "why": "f", "fix": "g",
         "details": [["got", "i"]], "lines": ["h\x1b[2J"]},
    ]  # fmt: skip
