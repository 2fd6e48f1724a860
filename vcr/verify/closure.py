"""What some derivations are made of, and which of it this host has only been told.

Believed is what a name or a hash in a derivation commits to, computed again from the bytes
(vcr.verify.content), and what this host has built itself, of what is still there and was there
before. All else is in doubt: it came from a cache, whoever signed it, or was built of something
that did and is gone. Neither a signature nor what Nix notes as content address counts: no
signature covers the latter.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vcr.errors import MismatchError
from vcr.tools.derivation import Derivation, read_closure
from vcr.tools.nix_store import Known, NixStore, is_build


@dataclass(frozen=True)
class Closure:
    """Derivations and all that they are built from."""

    store: NixStore
    targets: tuple[Path, ...]  # that were asked for
    derivations: Mapping[Path, Derivation]  # inputs first

    @classmethod
    def below(
        cls, store: NixStore, targets: Iterable[Path], others: Iterable[Path] = ()
    ) -> "Closure":
        """Read TARGETS, OTHERS and all that they are built from; raises MismatchError."""
        wanted = tuple(targets)
        try:
            return cls(store, wanted, read_closure([*wanted, *others]))
        except (OSError, ValueError, TypeError) as error:
            raise MismatchError(
                "a derivation in the Nix store is damaged",
                why=f"{type(error).__name__}: {error}",
                fix="nix-store --verify --check-contents --repair",
            ) from None

    def known(self) -> dict[Path, Known]:
        """Return what the store has of all sources and outputs, and what it knows of them."""
        outputs = {out for drv in self.derivations for out in self.outputs_of(drv)}
        return self.store.valid(sorted(outputs | self.sources))

    @property
    def sources(self) -> set[Path]:
        """Return all that was added to the store and not built."""
        return {path for each in self.derivations.values() for path in each.sources}

    @property
    def fixed(self) -> set[Path]:
        """Return all outputs whose content is decided by a hash."""
        fixed = [drv for drv, derivation in self.derivations.items() if derivation.is_fixed]
        return {out for drv in fixed for out in self.outputs_of(drv)}

    def outputs_of(self, drv: Path) -> tuple[Path, ...]:
        """Return the store paths that DRV makes."""
        return tuple(output.path for output in self.derivations[drv].outputs)

    def is_there(self, drv: Path, valid: Collection[Path]) -> bool:
        """Return whether all that DRV makes is among the VALID paths."""
        return all(out in valid for out in self.outputs_of(drv))

    def is_foreign(self, drv: Path, valid: Mapping[Path, Known]) -> bool:
        """Return whether DRV has something VALID that neither a hash nor this host vouches for."""
        outputs = [valid[out] for out in self.outputs_of(drv) if out in valid]
        return not self.derivations[drv].is_fixed and not all(out.built_here for out in outputs)

    def is_doubted(self, drv: Path, valid: Mapping[Path, Known]) -> bool:
        """Return whether something of DRV is VALID that is foreign, or was built of who knows what.

        The latter is so when something that it is built of is not there, or came later.
        """
        derivation = self.derivations[drv]
        outputs = [valid[out] for out in self.outputs_of(drv) if out in valid]
        if derivation.is_fixed or not outputs:
            return False
        first = min(out.since for out in outputs)
        inputs = [out for needed in derivation.inputs for out in self.outputs_of(needed)]
        is_whole = all(
            path in valid and valid[path].since <= first for path in (*inputs, *derivation.sources)
        )
        return not is_whole or self.is_foreign(drv, valid)

    @property
    def own(self) -> tuple[Path, ...]:
        """Return what is built for one project, or was asked for: layers, roots, machines."""
        return tuple(
            drv
            for drv, derivation in self.derivations.items()
            if not derivation.is_fixed
            and (drv in self.targets or any(is_build(out) for out in self.outputs_of(drv)))
        )

    @property
    def tools(self) -> tuple[Path, ...]:
        """Return the rest that is not fixed by a hash: compilers, kernels, guest programs."""
        own = set(self.own)
        return tuple(d for d, derivation in self.derivations.items()
                     if not derivation.is_fixed and d not in own)  # fmt: skip

    def lacking(self, drvs: Iterable[Path], valid: Collection[Path]) -> tuple[Path, ...]:
        """Return what has to be fetched first so that DRVS can be built, be they VALID or not."""
        pending = [needed for drv in drvs for needed in self.derivations[drv].inputs]
        found: set[Path] = set()
        while pending:
            drv = pending.pop()
            if drv not in found and not self.is_there(drv, valid):
                found.add(drv)
                pending += self.derivations[drv].inputs
        return tuple(drv for drv in self.derivations if drv in found)

    def given_to(self, drvs: Iterable[Path], valid: Collection[Path]) -> set[Path]:
        """Return the VALID paths and the sources that builds of DRVS are given."""
        derivations = [self.derivations[drv] for drv in drvs]
        inputs = {needed for derivation in derivations for needed in derivation.inputs}
        given = {out for drv in inputs for out in self.outputs_of(drv) if out in valid}
        sources = {source for derivation in derivations for source in derivation.sources}
        return self.store.used_by(given | sources)
