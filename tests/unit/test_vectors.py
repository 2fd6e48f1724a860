"""Rules that exist in Python and in a program of guest/: one set of vectors tries both.

tests/vectors has them; guest/*/vectors_test.go reads them, too.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from vcr.formats.failure import Failure
from vcr.formats.tree import Tree, text_file
from vcr.formats.users import Account, find_account
from vcr.model.health import CommandProbe, HealthCheck
from vcr.runtime.patience import Clock, Outcome, Patience, probe_until_healthy
from vcr.sandbox import cartesi

VECTORS = Path(__file__).parents[1] / "vectors"


def read(name: str) -> Any:
    """Return the vectors of NAME."""
    return json.loads((VECTORS / f"{name}.json").read_text())


@pytest.mark.parametrize("case", read("users"), ids=lambda case: case["why"])
def test_accounts(case: dict[str, Any]) -> None:
    tree = Tree()
    for name in ("passwd", "group"):
        if case[name] is not None:
            tree.put(f"etc/{name}", text_file(case[name]))
    if case["account"] is None:
        with pytest.raises(Failure):
            find_account(tree, case["user"])
        return
    told = case["account"]
    account = Account(told["uid"], told["gid"], tuple(told["groups"]), told["home"])
    assert find_account(tree, case["user"]) == account


class VirtualTime:
    """A clock that only moves when somebody waits, and an app that is asked by it."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.now = case, 100.0
        self.begins: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def probe(self) -> Outcome:
        begun = self.now - 100.0
        self.begins.append(begun)
        self.now += self.case["probe_takes"]
        since = self.case["healthy_from"]
        return Outcome(healthy=since is not None and begun >= since, detail="")


def check_of(case: dict[str, Any]) -> HealthCheck | None:
    told = case["check"]
    return told and HealthCheck(**{**told, "probe": CommandProbe(tuple(told["probe"]["argv"]))})


@pytest.mark.parametrize("case", read("health"), ids=lambda case: case["why"])
def test_health(case: dict[str, Any]) -> None:
    time, check = VirtualTime(case), check_of(case)
    clock = Clock(lambda: time.now, time.sleep)
    outcome = probe_until_healthy(time.probe, Patience(check), lambda: None, clock)
    assert outcome.healthy == case["healthy"]
    assert case["until"] <= time.now - 100.0 <= case["until"] + 1 + case["probe_takes"]
    if case["start_probes"] is not None:
        assert check is not None
        probes = [at for at in time.begins if at <= check.start_period]
        assert probes == pytest.approx(case["start_probes"])


@pytest.mark.parametrize("case", read("health"), ids=lambda case: case["why"])
def test_the_emulator_runs_longer_than_the_agent_waits(case: dict[str, Any]) -> None:
    check = check_of(case)
    given = cartesi.Patience(check.start_period, check.interval, check.retries) if check else None
    cycles = cartesi.limit(given)
    assert cycles >= Patience(check).seconds * cartesi.CYCLES_PER_SECOND


def test_a_limit_takes_the_place_of_patience_and_of_the_start_interval() -> None:
    case = {"probe_takes": 0.0, "healthy_from": None}
    time = VirtualTime(case)
    check = HealthCheck(CommandProbe(("x",)), start_period=100, start_interval=60)
    clock = Clock(lambda: time.now, time.sleep)
    assert not probe_until_healthy(time.probe, Patience(check, 7.0), lambda: None, clock).healthy
    assert time.begins == [7.0]


def test_a_machine_that_ends_is_seen_within_a_second_of_a_long_start_interval() -> None:
    time = VirtualTime({"probe_takes": 0.0, "healthy_from": None})
    check = HealthCheck(CommandProbe(("x",)), start_period=100, start_interval=60)

    def check_alive() -> None:
        if time.now >= 103.0:
            raise RuntimeError("it ended")

    with pytest.raises(RuntimeError, match="it ended"):
        probe_until_healthy(
            time.probe, Patience(check), check_alive, Clock(lambda: time.now, time.sleep)
        )
    assert time.now <= 104.0
