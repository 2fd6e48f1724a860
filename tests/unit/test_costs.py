"""What tests cost is measured where it arises, and shown by group."""

import subprocess
import sys

from costs import Cost, table, until_now

WORK = "import time\nwhile time.process_time() < 0.3: pass"


def test_a_child_that_works_costs_cpu_and_one_that_waits_only_seconds() -> None:
    begun = until_now()
    subprocess.run([sys.executable, "-ISc", WORK], check=True)
    worked = until_now() - begun
    begun = until_now()
    subprocess.run(["sleep", "0.5"], check=True)
    waited = until_now() - begun
    assert 0.3 <= worked.cpu < 3
    assert waited.seconds >= 0.5
    assert waited.cpu < 0.3


def test_the_slowest_come_first_by_group() -> None:
    costs = [("a::1", Cost(1, 0.5)), ("b::1", Cost(2.5, 0)), ("a::2", Cost(2, 0.25))]
    assert list(table(costs, lambda test: test[0], 5))[1:] == [
        "      3.0       0.8  a",
        "      2.5       0.0  b",
    ]
    assert list(table(costs, str, 1))[1:] == ["      2.5       0.0  b::1"]
