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
