"""What is built of what: the stages of a plan and the layers of its image.

Read from the derivations themselves, so it is what Nix uses. A node needs another
when its derivation does, directly or by way of derivations that are not nodes; what is
also needed through a third node is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vcr.tools.derivation import Derivation
from vcr.tools.nix import Target


@dataclass(frozen=True)
class Node:
    """A stage or a layer."""

    name: str
    label: str  # in a few words, for people
    is_built: bool
    needs: tuple[str, ...]  # names of other nodes, in their order


type Graph = dict[str, Node]  # by name, every node after those it needs


def graph_of(targets: Mapping[str, Target], labels: Mapping[str, str]) -> Graph:
    """Return the graph of TARGETS, named nodes in build order; raises OSError, ValueError."""
    names = {target.drv: name for name, target in targets.items()}
    below: dict[Path, frozenset[str]] = {}
    needs: dict[str, frozenset[str]] = {}
    for name, target in targets.items():
        needs[name] = _nodes_below(target.drv, names, below)
    return {
        name: Node(
            name,
            labels.get(name, ""),
            target.is_built,
            tuple(other for other in targets if other in _direct(needs[name], needs)),
        )
        for name, target in targets.items()
    }


def _nodes_below(
    drv: Path, names: Mapping[Path, str], below: dict[Path, frozenset[str]]
) -> frozenset[str]:
    """Return the first nodes on every way down from DRV; BELOW remembers them."""
    if drv not in below:
        found: set[str] = set()
        for needed in Derivation.read(drv).inputs:
            found |= {names[needed]} if needed in names else _nodes_below(needed, names, below)
        below[drv] = frozenset(found)
    return below[drv]


def _direct(wanted: frozenset[str], needs: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Leave out of WANTED what others of it need anyway."""
    seen: set[str] = set()
    waiting = [name for other in wanted for name in needs[other]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += needs[name]
    return wanted - seen


def roots_of(graph: Graph) -> tuple[str, ...]:
    """Return the nodes of GRAPH that no other needs."""
    needed = {name for node in graph.values() for name in node.needs}
    return tuple(name for name in graph if name not in needed)
