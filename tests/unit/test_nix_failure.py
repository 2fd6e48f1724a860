"""What a failed build printed: a program in it can print whatever it likes."""

import json
from collections import deque

import pytest

from vcr.process import Result
from vcr.tools.nix_failure import BuilderError, build_failure
from vcr.tools.nix_log import BUILDER_ERROR, Lines, NixLog

DRV = "/nix/store/" + "a" * 32 + "-vcr-layer.drv"
OWN = {"what": "w", "why": "y", "fix": "f", "code": ""}


def failed(*lines: str) -> Exception:
    log = NixLog(Lines(lambda _: None), built=[DRV], tails={DRV: deque(lines)})
    return build_failure(Result(("nix-store",), 100, b"", ""), log)


@pytest.mark.parametrize(
    "text", ["x", "", "[", "[" * 100_000, "5", "null", "[]", "{}", '{"what": 5}',
             '{"what": "a", "why": null, "fix": "b", "code": []}'], ids=lambda text: text[:9],
)  # fmt: skip
def test_what_only_begins_like_a_report_is_none(text: str) -> None:
    line = BUILDER_ERROR + text
    assert not isinstance(failed("before", line), BuilderError)
    report = BUILDER_ERROR + json.dumps(OWN)
    own = failed(line, report)
    assert isinstance(own, BuilderError)
    assert (own.what, own.why, own.fix) == ("w", "y", "f")
    assert line in own.tail
