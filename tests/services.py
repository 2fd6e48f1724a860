"""Servers of the pinned toolchain and of Python, on loopback, for tests."""

import functools
import http.server
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from vcr.settings import Settings
from vcr.tools.nix import Nix

ATTEMPTS = 5  # to start a server: the port that is free may be taken until it listens
# "secret", by bcrypt
USERS = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


def toolset(name: str) -> Path:
    return Nix(Settings.load()).build(name, lambda _: None)


def tool(name: str, program: str) -> Path:
    return toolset(name) / "usr/bin" / program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(server: subprocess.Popen[bytes], port: int) -> bool:
    """Return whether SERVER comes to listen on PORT; else it ended: somebody else took the port."""
    deadline = time.monotonic() + 60
    while server.poll() is None:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        # proc_pid_net(5): 0A is TCP_LISTEN, the tenth field the inode.
        place = [f"0100007F:{port:04X}", "0A"]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[1:4:2] == place}
        with suppress(OSError):
            own = {str(fd.readlink()) for fd in Path(f"/proc/{server.pid}/fd").iterdir()}
            if sockets & own:
                return True
        assert time.monotonic() < deadline, f"nobody listens on port {port}"
        time.sleep(0.05)
    return False


@contextmanager
def registry_server(directory: Path, **more: object) -> Iterator[str]:
    """Run a registry that keeps its files in DIRECTORY; yield HOST:PORT. MORE is configuration."""
    for _ in range(ATTEMPTS):
        port = free_port()
        config = {
            "version": 0.1,
            "storage": {
                "filesystem": {"rootdirectory": str(directory)},
                "delete": {"enabled": True},
            },
            "http": {"addr": f"127.0.0.1:{port}"},
            **more,
        }
        file = directory.with_suffix(".yml")
        file.write_text(json.dumps(config))
        server = subprocess.Popen(
            [tool("registry", "docker-registry"), "serve", file],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if listens(server, port):
                yield f"127.0.0.1:{port}"
                return
        finally:
            server.kill()
            server.wait()
    raise AssertionError("the registry does not start")


@contextmanager
def password_registry(directory: Path) -> Iterator[str]:
    """Run a registry that wants the password "secret" of "user"; yield HOST:PORT."""
    users = directory.with_suffix(".users")
    users.write_text(USERS)
    auth = {"htpasswd": {"realm": "r", "path": str(users)}}
    with registry_server(directory, auth=auth) as address:
        yield address


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serves a directory, and takes what is put into it."""

    moved: Mapping[str, str] = MappingProxyType({})

    def do_GET(self) -> None:
        if self.path not in self.moved:
            super().do_GET()
            return
        self.send_response(302)
        self.send_header("Location", self.moved[self.path])
        self.end_headers()

    def do_PUT(self) -> None:
        path = Path(self.translate_path(self.path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def file_server(directory: Path, *, moved: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve DIRECTORY by HTTP; yield its URL. MOVED: what paths redirect to."""
    directory.mkdir(exist_ok=True)
    kind = type("_Moved", (_Files,), {"moved": moved or {}})
    with site_of(functools.partial(kind, directory=str(directory))) as url:
        yield url


@contextmanager
def site_of(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer as HANDLER does, by HTTP; yield the URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def home_of_plain_http(home: Path, address: str) -> Path:
    """Tell skopeo, if HOME is its user's, that the registry at ADDRESS speaks plain HTTP."""
    settings = home / ".config/containers/registries.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    return home
