"""Resolves names to a closed set of Debian packages, the same set every time.

Follows Pre-Depends and Depends, never Recommends. Alternatives are taken in
their written order unless one is already chosen. There is no backtracking and
no Conflicts check: a suite of Debian stable does not need them for the small
sets vcr unpacks, and nothing is installed that could conflict at run time.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from vcr.errors import UsageError
from vcr.lock.debian.packages import Dependency, Index, Package


def resolve(
    index: Index, roots: Sequence[str], *, exclude: frozenset[str] = frozenset()
) -> tuple[Package, ...]:
    """Return ROOTS and all they depend on, sorted by name.

    A dependency on a name in EXCLUDE is dropped. Raises UsageError for a root
    that does not exist and for a dependency that nothing satisfies.
    """
    chosen: dict[str, Package] = {}
    wanted_by: dict[str, str] = {}
    queue = [_root(index, name) for name in roots]
    while queue:
        package = queue.pop(0)
        if package.name in chosen:
            continue
        chosen[package.name] = package
        for dependency in package.depends:
            needed = _pick(index, dependency, chosen, exclude)
            if needed is None:
                raise _unsatisfiable(package, dependency, wanted_by)
            if needed and needed[0].name not in chosen:
                wanted_by.setdefault(needed[0].name, package.name)
                queue.append(needed[0])
    return tuple(package for _, package in sorted(chosen.items()))


def _root(index: Index, name: str) -> Package:
    package = index.get(name)
    if package is not None:
        return package
    providers = [provider.name for provider, _ in index.providers(name)]
    near = get_close_matches(name, index.names, n=3, cutoff=0.7)
    raise UsageError(
        f"there is no Debian package {name!r}",
        why=f"it is virtual, provided by {', '.join(providers)}" if providers else "",
        fix=f"did you mean {' or '.join(near)}?" if near else "check the name and the suite",
    )


def _pick(
    index: Index, dependency: Dependency, chosen: dict[str, Package], exclude: frozenset[str]
) -> tuple[Package] | tuple[()] | None:
    """Return the package for DEPENDENCY, () when it needs none, None when nothing satisfies it."""
    candidates = [c for relation in dependency for c in index.candidates(relation)]
    if any(candidate.name in chosen for candidate in candidates):
        return ()
    if any(relation.name in exclude for relation in dependency):
        return ()
    allowed = [candidate for candidate in candidates if candidate.name not in exclude]
    return (allowed[0],) if allowed else None


def _unsatisfiable(
    package: Package, dependency: Dependency, wanted_by: dict[str, str]
) -> UsageError:
    chain = [package.name]
    while chain[-1] in wanted_by:
        chain.append(wanted_by[chain[-1]])
    return UsageError(
        f"nothing satisfies {' | '.join(map(str, dependency))}",
        why=f"needed by {', needed by '.join(chain)}",
        fix="add the package's suite, or choose other packages",
    )
