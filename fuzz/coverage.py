"""Which lines and branches of vcr were reached, by sys.monitoring (PEP 669).

A place is told of until it has nothing new to say, and costs nothing from then on.
"""

import sys
from collections import Counter
from types import CodeType

from fuzz.limits import REPOSITORY

TOOL = sys.monitoring.COVERAGE_ID
WAYS = 2  # of a branch
OFTEN = 1000  # times one way: in a loop, telling costs more than the other way is worth
OURS = str(REPOSITORY / "vcr")


class Coverage:
    """All that was reached so far."""

    def __init__(self) -> None:
        """Begin to look."""
        self.count = 0  # of lines and of ways out of branches
        self._ways: dict[tuple[CodeType, int], Counter[int]] = {}
        events = sys.monitoring.events
        sys.monitoring.use_tool_id(TOOL, "vcr-fuzz")
        sys.monitoring.register_callback(TOOL, events.LINE, self._line)
        sys.monitoring.register_callback(TOOL, events.BRANCH, self._branch)
        sys.monitoring.set_events(TOOL, events.LINE | events.BRANCH)

    def _line(self, code: CodeType, _line: int) -> object:
        self.count += code.co_filename.startswith(OURS)
        return sys.monitoring.DISABLE

    def _branch(self, code: CodeType, offset: int, destination: int) -> object:
        if not code.co_filename.startswith(OURS):
            return sys.monitoring.DISABLE
        ways = self._ways.setdefault((code, offset), Counter())
        self.count += destination not in ways
        ways[destination] += 1
        is_known = len(ways) == WAYS or ways[destination] == OFTEN
        return sys.monitoring.DISABLE if is_known else None
