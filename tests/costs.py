"""What tests cost: their seconds, and those of CPUs, which do not depend on what else runs.

Of the process of the tests and of the children that it waited for; what a test left running, such
as a machine, is not counted.
"""

import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest
from _pytest.terminal import TerminalReporter
from order import unit_of

NAME = "cost"  # of the property of a test's last report


@dataclass(frozen=True)
class Cost:
    """Seconds of a clock and of CPUs."""

    seconds: float
    cpu: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds - other.seconds, self.cpu - other.cpu)


def until_now() -> Cost:
    """Return what this process, and its children that have ended, cost until now."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Cost(time.monotonic(), sum(each.ru_utime + each.ru_stime for each in used))


class Costs:
    """Notes what each test costs, and shows the COUNT that took longest."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.begun = until_now()

    def pytest_runtest_logstart(self) -> None:
        self.begun = until_now()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[None]:
        if call.when == "teardown":
            cost = until_now() - self.begun
            item.user_properties.append((NAME, (cost.seconds, cost.cpu)))
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        costs = costs_of(terminalreporter)
        for what, of in (("tests", str), ("units of tests/order.py", unit_of)):
            terminalreporter.write_sep("=", f"slowest {self.count} {what}")
            for line in table(costs, of, self.count):
                terminalreporter.write_line(line)


def costs_of(reporter: TerminalReporter) -> list[tuple[str, Cost]]:
    """Return the tests that were run, each with what it cost."""
    return [
        (report.nodeid, Cost(*value))
        for reports in reporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == NAME
    ]


def table(costs: Iterable[tuple[str, Cost]], of: Callable[[str], str], count: int) -> Iterator[str]:
    """Yield lines for COUNT groups of tests, those first that took longest; OF is their name."""
    sums: dict[str, Cost] = {}
    for test, cost in costs:
        sums[of(test)] = sums.get(of(test), Cost(0, 0)) + cost
    yield f"{'seconds':>9} {'of CPUs':>9}"
    for name, cost in sorted(sums.items(), key=lambda item: -item[1].seconds)[:count]:
        yield f"{cost.seconds:9.1f} {cost.cpu:9.1f}  {name}"
