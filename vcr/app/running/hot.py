"""`run --hot`: after each change of a file a new version, once it is healthy."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from vcr.app.context import Context, Variant
from vcr.app.running.start import Start, UpOptions
from vcr.app.running.up import Listener, Ready, Up, check_down
from vcr.errors import VcrError
from vcr.runtime.follow import follow
from vcr.runtime.hot import Hot, SupersededError
from vcr.runtime.machine import STOP_SECONDS, Running
from vcr.runtime.watch import Changes, Filter, watching
from vcr.tools.nix import Nix

POLL_SECONDS = 0.5
SHOWN_FILES = 3


def run_hot(
    context: Context,
    variant: Variant = Variant(),
    options: UpOptions = UpOptions(),
    *,
    listener: Listener,
) -> None:
    """Build the project and run it, and a new version after each change, until an interrupt.

    Raises UnhealthyError and VcrError when the first version cannot be built or started.
    """
    ready = Ready.of(context, Start(variant, options), hot=True)
    with ready.locked(context):
        check_down(context, ready)
        _follow_changes(context, ready, listener)


def _follow_changes(context: Context, ready: Ready, listener: Listener) -> None:
    start, changes = ready.start, Changes()
    hot = Hot(
        ready.project,
        ready.records,
        start.options.forwards,
        ready.additions,
        start.options.timeout,
        start.profile,
    )
    session = _Session(context, start, hot, changes, listener)
    toolset = Nix(context.settings).toolset("watch")
    try:
        with watching(ready.project, toolset, changes):
            session.begin(ready.vm)
            session.go_on()
    finally:
        context.ui.detail("stopping")
        hot.stop(STOP_SECONDS)


@dataclass
class _Session:
    """The loop."""

    context: Context
    wanted: Start
    hot: Hot
    changes: Changes
    listener: Listener

    def begin(self, vm: Path) -> None:
        """Start the first version; what goes wrong ends it all."""
        with self.context.ui.step(self.hot.project.name) as step:
            self.hot.replace(vm)
            step.because("healthy")
        self._serve()

    def go_on(self) -> None:
        """Follow changes until an interrupt."""
        was_running = True
        matters = Filter(self.hot.project)
        while True:
            changed = self.changes.take(POLL_SECONDS)
            # What is not decided by a file of the build, the app may see by itself.
            if changed and (any(map(matters.decides, changed)) or not self.hot.shows_source):
                self._follow_change(changed)
            if was_running and not self.hot.is_running:
                self.context.ui.warn("the app ended; the next change starts it again")
            was_running = self.hot.is_running

    def _follow_change(self, changed: frozenset[Path]) -> None:
        begin, ui = time.monotonic(), self.context.ui
        ui.note(f"changed: {self._names(changed)}")
        try:
            _, vm = self.wanted.build(self.context)
            if self._serves(vm):
                ui.note("it is not part of the image")
                return
            self.hot.replace(vm, self.changes.are_there)
        except SupersededError:
            ui.note("changed again")
        except VcrError as error:
            self.listener.on_error(error)
            if self.hot.is_running:
                ui.note("the version before continues to serve")
        else:
            ui.note(f"serves after {time.monotonic() - begin:.1f} s")
            self._serve()

    def _serves(self, vm: Path) -> bool:
        current = self.hot.current
        return self.hot.is_running and current is not None and current.record.vm == str(vm)

    def _serve(self) -> None:
        """Say where, and pass on the log of what serves now."""
        self.listener.on_up(Up.of(self.context, self.hot.record))
        assert self.hot.current is not None  # noqa: S101 -- it was just started
        threading.Thread(target=self._pass_log_on, args=(self.hot.current,), daemon=True).start()

    def _pass_log_on(self, running: Running) -> None:
        for line in follow(running.channels.log, lambda: not running.record.is_running):
            self.listener.on_line(line)

    def _names(self, changed: frozenset[Path]) -> str:
        root = self.hot.project.root
        names = sorted(
            str(p.relative_to(root)) if p.is_relative_to(root) else str(p) for p in changed
        )
        more = len(names) - SHOWN_FILES
        return ", ".join(names[:SHOWN_FILES]) + (f" and {more} more" if more > 0 else "")
