"""A server of git repositories by git's own smart protocol, git-http-backend(1), and of text."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from services import site_of

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0")


class Site(BaseHTTPRequestHandler):
    """Repositories below /git/, plain text everywhere else."""

    git: Path
    root: Path  # of the repositories
    asked: list[str]

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if not self.path.startswith("/git/"):
            self.reply(200, {"Content-Type": "text/plain"}, b"plain text\n")
            return
        path, _, query = self.path.partition("?")
        env = {
            **git_env(self.git),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.root),
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        said = subprocess.run(
            [self.git, "http-backend"], env=env, input=body, capture_output=True, check=False
        ).stdout  # it fails for a hash that it does not have, and says so to the client
        head, _, content = said.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.reply(int(fields.pop("Status", "200").split()[0]), fields, content)

    def reply(self, status: int, fields: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


def git_env(git: Path) -> dict[str, str]:
    """Return the environment in which the GIT of a toolset finds its parts."""
    return {**os.environ, "GIT_EXEC_PATH": str(git.parents[1] / "lib/git-core")}


def run_git(git: Path, repository: Path, *words: str, stdin: bytes = b"") -> str:
    """Run GIT in REPOSITORY and return what it prints."""
    argv: list[str | Path] = [git, "-C", repository, *AUTHOR, *words]
    done = subprocess.run(argv, check=True, env=git_env(git), input=stdin, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


@contextmanager
def git_site(git: Path, root: Path) -> Iterator[str]:
    """Yield the address of a server of the repositories below ROOT."""
    Site.git, Site.root, Site.asked = git, root, []
    with site_of(Site) as url:
        yield f"{url}/"
