"""On the packages that `vcr lock --suggest` writes, a server answers as from its image."""

import socket
from pathlib import Path
from typing import Any

import pytest
from expectations import Expectation, http, until

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.limit(900)]


@pytest.mark.parametrize(
    ("image", "asked", "answer"),
    [
        ("memcached", b"version\r\n", b"VERSION "),
        ("redis", b"PING\r\n", b"+PONG"),
    ],
)
def test_a_server_answers(
    vcr: Any, tmp_path: Path, image: str, asked: bytes, answer: bytes
) -> None:
    port = started(vcr, tmp_path, {"Dockerfile": f"FROM {image}\n"})
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(asked)
        assert answer in connection.recv(4096)


def started(vcr: Any, tmp_path: Path, files: dict[str, str]) -> int:
    """Start the app of FILES on what is suggested for its images; return its port on this host."""
    app = tmp_path / "app"
    for name, text in files.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    vcr("lock", "--suggest", app)
    tried = vcr.attempt("lock", app)
    if tried.returncode == 7:
        pytest.skip(f"needs Debian's indexes: {tried.stderr[-500:]}")
    assert tried.returncode == 0, tried.stderr
    return int(vcr.json("up", "--profile", "dev", app)["forwards"][0]["host"])


PAGE = {"html/index.html": "own page"}
# As authors write them: the master process is root, the others the image's user, the usual logs.
OWN = """\
user nginx;
error_log /var/log/nginx/error.log notice;
events {}
http {
    access_log /var/log/nginx/access.log;
    include /etc/nginx/conf.d/*.conf;
}
"""
SERVER = "server { listen 8080; location / { return 200 'own server'; } }\n"


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        ({"Dockerfile": "FROM nginx\n"}, "Welcome to nginx!"),
        ({"Dockerfile": "FROM nginx\nCOPY html /usr/share/nginx/html\n", **PAGE}, "own page"),
        (
            {
                "Dockerfile": "FROM nginx\nEXPOSE 8080\nCOPY app.conf /etc/nginx/conf.d/\n",
                "app.conf": SERVER,
                "vcr.toml": "[machine]\nports = [8080]\n",
            },
            "own server",
        ),
        (
            {
                "Dockerfile": "FROM nginx\nCOPY nginx.conf /etc/nginx/\n"
                "COPY --chown=nginx:nginx html /usr/share/nginx/html\n",
                "nginx.conf": OWN,
                **PAGE,
            },
            "own page",
        ),
    ],
    ids=["alone", "files", "server", "configuration"],
)
def test_nginx_serves_as_its_image_does(
    vcr: Any, tmp_path: Path, files: dict[str, str], answer: str
) -> None:
    port = started(vcr, tmp_path, files)
    assert answer in http(Expectation("get", "/", answer), port)
    until("GET / HTTP/1.1", lambda: vcr("logs", tmp_path / "app").stdout)


HTTPD = """\
FROM alpine
COPY index.html /www/
EXPOSE 8000
HEALTHCHECK --interval=1s --start-period=60s CMD wget -q -O - http://127.0.0.1:8000/ | grep -q httpd
CMD httpd -f -p 8000 -h /www
"""


def test_busybox_has_the_names_of_its_applets(vcr: Any, tmp_path: Path) -> None:
    port = started(vcr, tmp_path, {"Dockerfile": HTTPD, "index.html": "from httpd"})
    assert "from httpd" in http(Expectation("get", "/", "from httpd"), port)


def test_a_step_finds_what_it_calls(vcr: Any, tmp_path: Path) -> None:
    files = {
        "Dockerfile": "FROM alpine\nCOPY Makefile /\nRUN make page && git --version\n"
        "EXPOSE 8000\nCMD httpd -f -p 8000 -h /www\n",
        "Makefile": "page:\n\tmkdir /www && echo made > /www/index.html\n",
    }
    port = started(vcr, tmp_path, files)
    assert "made" in http(Expectation("get", "/", "made"), port)


def test_a_step_that_lacks_a_program_is_told_where_to_add_it(vcr: Any, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM node:20-alpine\nRUN apk add --no-cache git\n")
    vcr("lock", "--suggest", tmp_path)
    tried = vcr.attempt("lock", tmp_path)
    if tried.returncode == 7:
        pytest.skip(f"needs Debian's indexes: {tried.stderr[-500:]}")
    assert tried.returncode == 1
    assert "Dockerfile:2: RUN apk add --no-cache git exited with 127" in tried.stderr
    assert 'why: apk is not there: [base."node:20-alpine"] of vcr.toml' in tried.stderr
    assert 'add "git" to packages of [base."node:20-alpine"]' in tried.stderr
