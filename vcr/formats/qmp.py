"""A client for QEMU's monitor: https://www.qemu.org/docs/master/interop/qmp-spec.html."""

import json
import socket
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vcr.formats.failure import Failure

CONNECT_SECONDS = 10.0
POLL_SECONDS = 0.02
MAX_LINE = 1 << 20  # bytes that it may say on one
MAX_EVENTS = 1000  # that are kept until somebody waits for one


class Monitor:
    """A connection to the monitor at a Unix socket; a context manager."""

    def __init__(self, path: Path) -> None:
        """Connect to PATH, which QEMU may still have to make; raises Failure."""
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failure("QEMU does not answer", why=str(error)) from None
                time.sleep(POLL_SECONDS)
        self._lines = self._socket.makefile("rwb")
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        try:
            self._read()
            self.command("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError):  # what could not be sent, to who is gone
            self._lines.close()
        self._socket.close()

    def command(self, name: str, **arguments: object) -> Any:
        """Run a command and return what it returns; raises Failure."""
        request = json.dumps({"execute": name, "arguments": arguments}) + "\n"
        try:
            self._lines.write(request.encode())
            self._lines.flush()
        except OSError as error:
            raise Failure("QEMU ended", why=str(error)) from None
        while True:
            answer = self._read()
            if "error" in answer:
                raise Failure(f"QEMU refuses {name}", why=str(_object(answer["error"]).get("desc")))
            if "return" in answer:
                return answer["return"]
            self._events.append(answer)

    def wait_for(self, name: str, timeout: float | None = None) -> dict[str, Any]:
        """Return the data of the next event NAME; raises Failure after TIMEOUT seconds."""
        self._socket.settimeout(timeout)
        try:
            while True:
                event = self._events.popleft() if self._events else self._read()
                if event.get("event") == name:
                    return _object(event.get("data", {}))
        except TimeoutError:
            raise Failure(f"QEMU did not reach {name} in {timeout:g} seconds") from None
        finally:
            self._socket.settimeout(None)

    def save_state(self, path: Path) -> None:
        """Write the state of all devices, but not shared memory, to PATH; raises Failure."""
        self._ignore_memory()
        self.command("migrate", channels=_file(path))
        self._wait_for_migration("save")

    def load_state(self, path: Path) -> None:
        """Continue from the state in the file at PATH; raises Failure."""
        self._ignore_memory()
        self.command("migrate-incoming", channels=_file(path))
        self._wait_for_migration("load")

    def _ignore_memory(self) -> None:
        capability = {"capability": "x-ignore-shared", "state": True}
        self.command("migrate-set-capabilities", capabilities=[capability])

    def _wait_for_migration(self, what: str) -> None:
        while True:
            status = _object(self.command("query-migrate"))
            if status.get("status") == "completed":
                return
            if status.get("status") in ("failed", "cancelled"):
                raise Failure(
                    f"QEMU cannot {what} its state", why=str(status.get("error-desc", ""))
                )
            time.sleep(POLL_SECONDS)

    def _read(self) -> dict[str, Any]:
        """Return the next thing that QEMU says; raises Failure, TimeoutError."""
        try:
            line = self._lines.readline(MAX_LINE)
        except TimeoutError:
            raise
        except OSError as error:
            raise Failure("QEMU ended", why=str(error)) from None
        if not line:
            raise Failure("QEMU ended")
        if not line.endswith(b"\n"):
            raise Failure("QEMU ended, or sends endless output")
        try:
            return _object(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise Failure("QEMU sends something that is not JSON", why=str(error)) from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Failure("QEMU says something unknown", why=repr(value)[:100])
    return value


def _file(path: Path) -> list[dict[str, Any]]:
    """Return the channels of a migration to or from the file at PATH; no text is taken apart."""
    return [
        {
            "channel-type": "main",
            "addr": {"transport": "file", "filename": str(path), "offset": 0},
        }
    ]
