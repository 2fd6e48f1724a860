"""`vcr run --hot`: after each change of a file a new version, once it is healthy."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vcr.cli.context import App
from vcr.cli.running.start import Start
from vcr.errors import VcrError
from vcr.runtime.follow import follow
from vcr.runtime.hot import Hot, SupersededError
from vcr.runtime.machine import STOP_SECONDS
from vcr.runtime.watch import Changes, Filter, watching

if TYPE_CHECKING:
    from vcr.engines.machine import Channels
    from vcr.model.project import Project
    from vcr.runtime.record import Records

POLL_SECONDS = 0.5
SHOWN_FILES = 3


@dataclass
class _Session:
    """The loop of `vcr run --hot`."""

    app: App
    wanted: Start
    hot: Hot
    changes: Changes
    announce: Callable[[], None]

    def begin(self, vm: Path) -> None:
        """Start the first version; what goes wrong ends it all."""
        with self.app.ui.step(self.hot.project.name) as step:
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
                self.app.ui.warn("the app ended; the next change starts it again")
            was_running = self.hot.is_running

    def _follow_change(self, changed: frozenset[Path]) -> None:
        begin = time.monotonic()
        self.app.ui.note(f"changed: {self._names(changed)}")
        try:
            _, vm, _ = self.wanted.build(self.app)
            if self._serves(vm):
                self.app.ui.note("nothing of it is in the image")
                return
            self.hot.replace(vm, self.changes.are_there)
        except SupersededError:
            self.app.ui.note("changed again")
        except VcrError as error:
            self.app.ui.error(error)
            if self.hot.is_running:
                self.app.ui.note("the version before goes on serving")
        else:
            self.app.ui.note(f"serves after {time.monotonic() - begin:.1f} s")
            self._serve()

    def _serves(self, vm: Path) -> bool:
        current = self.hot.current
        return self.hot.is_running and current is not None and current.record.vm == str(vm)

    def _serve(self) -> None:
        """Say where, and show the log of what serves now."""
        self.announce()
        assert self.hot.current is not None  # noqa: S101 -- it was just started
        record, channels = self.hot.current.record, self.hot.current.channels
        arguments = (self.app, channels, lambda: not record.is_running)
        threading.Thread(target=_show_log, args=arguments, daemon=True).start()

    def _names(self, changed: frozenset[Path]) -> str:
        root = self.hot.project.root
        names = sorted(
            str(p.relative_to(root)) if p.is_relative_to(root) else str(p) for p in changed
        )
        more = len(names) - SHOWN_FILES
        return ", ".join(names[:SHOWN_FILES]) + (f" and {more} more" if more > 0 else "")


def run_hot(
    app: App,
    wanted: Start,
    built: "tuple[Project, Path, Records]",
    announce: Callable[[Hot], None],
) -> None:
    """Run what was BUILT, and what comes of each change, until an interrupt."""
    from vcr.tools.nix import Nix

    project, vm, records = built
    toolset = Nix(app.settings).toolset("watch")
    changes = Changes()
    hot = Hot(project, records, wanted.forwards(), wanted.additions(app), wanted.timeout,
              wanted.profile)  # fmt: skip
    session = _Session(app, wanted, hot, changes, lambda: announce(hot))
    try:
        with watching(project, toolset, changes):
            session.begin(vm)
            session.go_on()
    finally:
        app.ui.detail("stopping")
        hot.stop(STOP_SECONDS)


def _show_log(app: App, channels: "Channels", is_over: Callable[[], bool]) -> None:
    for line in follow(channels.log, is_over):
        app.ui.program(line, is_error=app.ui.is_json)
