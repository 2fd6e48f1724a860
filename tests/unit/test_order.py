"""The order of tests, the units that workers get, and the end of what hangs."""

import time
from pathlib import Path

import order
import pytest
from limits import limited
from order import in_order, unit_of

REPO = Path(__file__).resolve().parents[2]


class Item:
    """As much of a test as its order depends on."""

    def __init__(self, nodeid: str, *kernels: str) -> None:
        self.nodeid = nodeid
        self.marks = [pytest.mark.kernel(kernel).mark for kernel in kernels]

    def iter_markers(self, _name: str) -> list[pytest.Mark]:
        return self.marks


def ordered(tests: list[Item], *missing: str) -> list[str]:
    return [item.nodeid.removeprefix("tests/") for item in in_order(tests, missing)]  # type: ignore[arg-type]


def test_every_file_that_the_order_names_is_there() -> None:
    for file in (*order.SECONDS, *order.PARTED):
        assert (REPO / "tests" / f"{file}.py").is_file(), file


def test_a_unit_is_a_file_a_profile_of_it_or_a_test() -> None:
    verbs = "tests/integration/test_verbs.py::test"
    assert unit_of(f"{verbs}[prod-debug]") == "integration/test_verbs prod-debug"
    assert unit_of(f"{verbs}[x-prod-True]") == "integration/test_verbs prod"
    assert unit_of(verbs) == "integration/test_verbs"
    kill = "tests/reliability/test_kill.py::test"
    assert unit_of(f"{kill}[up-vm-0]") == unit_of(f"{kill}[up-vm-1]") != unit_of(f"{kill}[up-0]")
    assert unit_of("tests/unit/test_x.py::test[dev]") == "unit/test_x"
    example = "tests/integration/test_examples.py::test_"
    assert unit_of(f"{example}static") != unit_of(f"{example}tls")


def test_what_takes_long_begins_first_and_what_needs_a_compiled_kernel_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(order, "SECONDS", {"repro/test_long": 100, "integration/test_boot": 90})
    tests = [
        Item("tests/integration/test_a.py::a"),
        Item("tests/unit/test_a.py::a"),
        Item("tests/integration/test_boot.py::a", "enclave"),
        Item("tests/repro/test_long.py::a"),
        Item("tests/integration/test_a.py::b"),
    ]
    a, unit, boot, long, b = (test.nodeid.removeprefix("tests/") for test in tests)
    assert ordered(tests) == [long, boot, a, b, unit]
    assert ordered(tests, "kernels.amd64") == [long, boot, a, b, unit]
    assert ordered(tests, "kernels.enclave") == [long, a, b, boot, unit]


def test_a_test_that_hangs_fails() -> None:
    begun = time.monotonic()
    with pytest.raises(pytest.fail.Exception, match="took longer than 1 s"), limited(1):
        time.sleep(30)
    assert time.monotonic() - begun < 15
    with limited(1):
        pass
    time.sleep(1.1)  # nothing comes later


def test_no_test_has_a_long_name(request: pytest.FixtureRequest) -> None:
    """Each worker tells all names, and every report has one: they were seven megabytes."""
    names = [item.nodeid for item in request.session.items]
    assert [name[:200] for name in names if len(name) > 600] == []
