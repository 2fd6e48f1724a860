"""Follows a build of several stages at once: each has a step, which begins when its work does.

What needs no other stage is built beside it: a kernel while the layers of the image are made.
A stage with nothing to do is shown in its place among the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from vcr.build.follow import Follower, Instructions
from vcr.errors import VcrError
from vcr.escape import without_colours
from vcr.progress.step import End
from vcr.tools.nix import Target
from vcr.tools.nix_store import NixStore
from vcr.ui import Ui

IMAGE = "image"  # the stage that is made of layers


@dataclass
class SideBySide:
    """Follows the build of TARGETS, which are in the order of the stages."""

    ui: Ui
    store: NixStore
    targets: Sequence[Target]
    reasons: Mapping[str, str]  # of an attribute → why that has to be built
    instructions: Instructions
    _followers: dict[str, Follower] = field(default_factory=dict)  # by attribute, as they begin
    _caches: dict[str, str] = field(default_factory=dict)  # what is copied → the cache it is from
    _needs: dict[str, frozenset[str]] = field(default_factory=dict)  # attribute → derivations
    _failed: set[str] = field(default_factory=set)
    _left: set[str] = field(default_factory=set)  # whose outputs a killed build has left
    _shown: int = 0  # of the targets, from the first: they are over

    @contextmanager
    def running(self) -> Iterator["SideBySide"]:
        """Show the stages while the block runs, and how they end."""
        self._left = {t.attr for t in self._pending() if t.out.exists()}
        self._show_cached()
        try:
            yield self
        except Exception as error:
            tail = error.tail if isinstance(error, VcrError) else ()
            self._stop([without_colours(line) for line in tail])
            raise
        except BaseException:  # an interrupt
            for follower in self._followers.values():
                follower.step.finish(End.STOPPED)
            raise
        for target in self._pending():  # made by another build meanwhile
            self._finish(target)

    def done(self) -> list[Target]:
        """Return the targets that are built."""
        return [
            target for target in self.targets if target.is_built or self._end(target) is End.DONE
        ]

    def seconds(self, target: Target) -> float:
        """Return how long TARGET took; 0 where there was nothing to do."""
        return 0.0 if target.is_built else round(self._followers[target.attr].step.seconds, 1)

    def reason(self, target: Target) -> str:
        """Return why TARGET was built, or which cache it is from; "" where it was there."""
        return "" if target.is_built else self._followers[target.attr].step.outcome

    def started(self, drv: str) -> None:
        """Begin what DRV is: a target, or a part of one."""
        self._look()
        self._follower(self._owner(drv)).started(drv)

    def printed(self, drv: str, text: str) -> None:
        """Show TEXT, a line that the build of DRV printed."""
        self._look()
        self._follower(self._owner(drv)).printed(drv, text)

    def ended(self, drv: str, *, failed: bool) -> None:
        """End what DRV is."""
        target = self._owner(drv)
        if failed:
            self._failed.add(target.attr)
        self._follower(target).ended(drv, failed=failed)
        if drv == str(target.drv) and not failed:
            self._left.discard(target.attr)
            self._look()  # it is not there if it was interrupted

    def copying(self, path: str, cache: str) -> None:
        """Show that PATH is copied from CACHE."""
        self._caches[path] = cache
        self._follower(self._maker(path)).copying(path, cache)

    def copied(self, path: str) -> None:
        """Show that PATH is there."""
        target = self._maker(path)
        self._follower(target).copied(path)
        if path == str(target.out):
            self._left.discard(target.attr)
            self._look()

    def said(self, text: str) -> None:
        """Show TEXT, which is of Nix itself."""
        self._follower(self._first()).said(text)

    def _look(self) -> None:
        """End the targets that are there: of what it was asked for, Nix says so at the very end."""
        for target in self._pending():
            begun = target.attr in self._followers and target.attr not in self._left
            if begun and target.out.exists():
                self._finish(target)

    def _pending(self) -> list[Target]:
        """Return the targets that are not over."""
        return [
            target for target in self.targets if not target.is_built and self._end(target) is None
        ]

    def _end(self, target: Target) -> End | None:
        """Return how TARGET ended; None where it has not."""
        follower = self._followers.get(target.attr)
        return None if follower is None else follower.step.end

    def _first(self) -> Target:
        """Return the first target that is not over, or the last of all."""
        return next(iter(self._pending()), self.targets[-1])

    def _owner(self, drv: str) -> Target:
        """Return the target that is DRV, or the first that needs it."""
        pending = [target for target in self.targets if not target.is_built]
        if found := [target for target in pending if drv == str(target.drv)]:
            return found[0]
        if drv in self.instructions.idents:
            pending = [target for target in pending if target.attr == IMAGE] or pending
        found = [target for target in pending if len(pending) == 1 or drv in self._needed(target)]
        return found[0] if found else self._first()

    def _needed(self, target: Target) -> frozenset[str]:
        """Return the derivations that TARGET is built from."""
        if target.attr not in self._needs:
            self._needs[target.attr] = frozenset(map(str, self.store.used_by([target.drv])))
        return self._needs[target.attr]

    def _maker(self, out: str) -> Target:
        """Return the target whose output OUT is, or a layer of whose it is."""
        for target in self.targets:
            if out == str(target.out):
                return target
        maker = self.instructions.makers.get(out)
        return self._first() if maker is None else self._owner(maker)

    def _follower(self, target: Target) -> Follower:
        """Return who follows TARGET, whose step begins where it has not."""
        if target.attr not in self._followers:
            step = self.ui.begin(target.attr)
            self._followers[target.attr] = Follower(step, str(target.drv), self.instructions)
            for title in self.instructions.cached if target.attr == IMAGE else ():
                step.part_cached(title)
        return self._followers[target.attr]

    def _finish(self, target: Target) -> None:
        step = self._follower(target).step
        cache = self._caches.get(str(target.out), "")
        step.because(f"from {cache}" if cache else self.reasons.get(target.attr, ""))
        step.finish()
        self._show_cached()

    def _show_cached(self) -> None:
        """Show the targets with nothing to do before which all are over."""
        for target in self.targets[self._shown :]:
            if target.is_built:
                step = self._follower(target).step
                step.cached()
                step.finish()
            elif self._end(target) is None:
                break
            self._shown += 1

    def _stop(self, told: Sequence[str]) -> None:
        """End all that runs: what failed with what it printed but what is TOLD of it."""
        failed = self._failed or {self._first().attr}
        self._follower(self._first())
        for attr, follower in self._followers.items():
            follower.step.finish(End.FAILED if attr in failed else End.STOPPED, told)
