"""On the packages that `vcr lock --suggest` writes, a server answers as from its image."""

import contextlib
import json
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from expectations import Expectation, http, until

from vcr.model.arch import native_arch

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.limit(1800)]


# SSLRequest of PostgreSQL's protocol; a server without TLS answers with one letter.
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
# MQTT 3.1.1, section 3.1: CONNECT without a name, and what accepts it.
CONNECT, CONNACK = b"\x10\x0c\0\4MQTT\4\2\0<\0\0", b"\x20\2\0\0"
OWN_PAGE = "RUN mkdir webapps/ROOT && echo 'own page' > webapps/ROOT/index.html"
GET = b"GET / HTTP/1.0\r\n\r\n"


@pytest.mark.parametrize(
    ("image", "more", "asked", "answer"),
    [
        ("memcached", "", b"version\r\n", b"VERSION "),
        ("redis", "", b"PING\r\n", b"+PONG"),
        ("valkey/valkey:8", "", b"PING\r\n", b"+PONG"),
        ("postgres:16", "ENV POSTGRES_PASSWORD=x", SSL_REQUEST, b"N"),
        ("mariadb:11", "ENV MARIADB_ROOT_PASSWORD=x", b"", b"MariaDB"),
        ("rabbitmq:4", "", b"AMQP\0\0\x09\1", b"RabbitMQ"),
        ("nats", "", b"", b"INFO {"),
        (
            "eclipse-mosquitto",
            'CMD ["/usr/sbin/mosquitto", "-c", "/mosquitto-no-auth.conf"]',
            CONNECT,
            CONNACK,
        ),
        ("registry:2", "", b"GET /v2/ HTTP/1.0\r\n\r\n", b"200 OK"),
        (
            "tomcat:10.1",
            'RUN mkdir -p webapps/ROOT && echo "own page" > webapps/ROOT/index.html',
            GET,
            b"own page",
        ),
        ("prom/prometheus", "", b"GET /-/ready HTTP/1.0\r\n\r\n", b"200 OK"),
    ],
)
def test_a_server_answers(
    vcr: Any, tmp_path: Path, image: str, more: str, asked: bytes, answer: bytes
) -> None:
    port = started(vcr, tmp_path, {"Dockerfile": f"FROM {image}\n{more}\n"})
    assert answer in asked_until(port, asked, answer)


def asked_until(port: int, asked: bytes, answer: bytes) -> bytes:
    """Return what the server at PORT says to ASKED, when it has ANSWER or after two minutes."""
    end = time.monotonic() + 120
    while True:
        text = b""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
            server.settimeout(60)
            server.sendall(asked)
            text = server.recv(4096)
        if answer in text or time.monotonic() > end:
            return text
        time.sleep(1)


SQL = "CREATE TABLE t (n int);\nINSERT INTO t\n  VALUES (6 * 7);\n"
# Not executable: it is sourced, by bash, with what the entrypoint knows.
SOURCED = """\
words=(UPDATE t SET 'n = n + 1;')
if [ -n "$POSTGRES_DB" ]; then
  psql -U "$POSTGRES_USER" "$POSTGRES_DB" <<< "${words[*]}"
else
  mariadb -u root "$MARIADB_DATABASE" <<< "${words[*]}"
fi
"""


@pytest.mark.parametrize(
    ("image", "variables", "own", "query", "client"),
    [
        (
            "postgres:16",
            "POSTGRES_USER=app POSTGRES_DB=shop POSTGRES_PASSWORD_FILE=/secret",
            'CMD ["postgres", "-c", "max_connections=17"]',
            "SELECT n + current_setting('max_connections')::int FROM t;",
            'PGPASSWORD="$(cat /secret)" psql -h $HOSTNAME -U app shop',
        ),
        (
            "mysql:8",
            "MYSQL_USER=app MYSQL_DATABASE=shop MYSQL_PASSWORD_FILE=/secret MYSQL_ROOT_PASSWORD=x",
            "COPY own.cnf /etc/mysql/conf.d/\nHEALTHCHECK CMD healthcheck.sh --connect",
            "SELECT n + @@max_connections FROM t;",
            'mysql --protocol=tcp -h $HOSTNAME -u app "-p$(cat /secret)" shop',
        ),
    ],
)
def test_a_database_has_what_its_variables_and_scripts_say(
    vcr: Any, tmp_path: Path, image: str, variables: str, own: str, query: str, client: str
) -> None:
    copies = "COPY secret query.sql /\nCOPY init /docker-entrypoint-initdb.d\n"
    files = {
        "Dockerfile": f"FROM {image}\nENV {variables}\n{copies}{own}\n",
        "secret": "p'w",
        "own.cnf": "[mariadbd]\nmax_connections = 17\n",
        "query.sql": query,
        "init/1.sql": SQL,
        "init/2.sh": SOURCED,
    }
    started(vcr, tmp_path, files)
    asked = ("exec", tmp_path / "app", "--", "sh", "-c", f"{client} < /query.sql")
    until(str(6 * 7 + 1 + 17), lambda: vcr.attempt(*asked).stdout)


def started(vcr: Any, tmp_path: Path, files: dict[str, str]) -> int:
    """Start the app of FILES on what is suggested for its images; return its port on this host."""
    app = tmp_path / "app"
    for name, text in files.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    vcr("lock", "--suggest", app)
    tried = vcr.attempt("lock", "--arch", native_arch().value, app)
    if tried.returncode == 7 and "docker://" not in tried.stderr:
        pytest.skip(f"needs Debian's indexes, or a registry: {tried.stderr[-500:]}")
    assert tried.returncode == 0, tried.stderr
    return int(vcr.json("up", "--profile", "dev", app)["forwards"][0]["host"])


YARN = """\
FROM node:20-slim
WORKDIR /app
COPY . .
RUN yarn install && yarn --version > version
USER node
EXPOSE 8080
CMD yarn start
"""
SERVE = """\
const text = require("fs").readFileSync("version");
require("http").createServer((_, answer) => answer.end(`yarn ${text}`)).listen(8080);
"""


@pytest.mark.parametrize(
    ("named", "version"), [("", "yarn 1.22."), ("yarn@1.22.19", "yarn 1.22.19")]
)
def test_yarn_is_what_package_json_names(
    vcr: Any, tmp_path: Path, named: str, version: str
) -> None:
    """As in the image: 1.22 where it names none. Who starts the app is not who fetched it."""
    package = {"name": "app", "version": "1.0.0", "scripts": {"start": "node server.js"}}
    text = json.dumps(package | ({"packageManager": named} if named else {}))
    files = {"Dockerfile": YARN, "package.json": text, "server.js": SERVE, "yarn.lock": ""}
    port = started(vcr, tmp_path, files)
    assert version in http(Expectation("get", "/", version), port)


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
        (
            {
                "Dockerfile": "FROM nginx\nENV WHO=templates PORT=80\n"
                "COPY templates /etc/nginx/templates\n",
                "templates/default.conf.template": "server { listen ${PORT}; location / {\n"
                "  default_type text/plain; return 200 '$request_uri of ${WHO}'; } }\n",
            },
            "/ of templates",
        ),
    ],
    ids=["alone", "files", "server", "configuration", "templates"],
)
def test_nginx_serves_as_its_image_does(
    vcr: Any, tmp_path: Path, files: dict[str, str], answer: str
) -> None:
    port = started(vcr, tmp_path, files)
    assert answer in http(Expectation("get", "/", answer), port)
    until("GET / HTTP/1.1", lambda: vcr("logs", tmp_path / "app").stdout)


INDEX = (
    "<?php echo PHP_SAPI, ' has ', $_ENV['WHO'], ', ', implode(' ', PDO::getAvailableDrivers());"
)
FPM = """\
FROM php:8.3-fpm
RUN docker-php-ext-install -j$(nproc) pdo_mysql opcache \\
    && mv "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini"
ENV WHO=fpm
COPY app.ini /usr/local/etc/php/conf.d/
COPY index.php .
"""
APACHE = """\
FROM php:8.3-apache
RUN docker-php-ext-install pdo_mysql && a2enmod rewrite
ENV WHO=apache
COPY . /var/www/html
"""


@pytest.mark.parametrize(
    ("files", "answer", "logged"),
    [
        (
            {"Dockerfile": APACHE, "index.php": INDEX},
            "apache2handler has apache, sqlite mysql",
            "GET / ",
        ),
        (
            {
                "Dockerfile": "FROM php:8-cli\nENV WHO=cli\nEXPOSE 80\nCOPY . .\n"
                'CMD ["php", "-S", "0.0.0.0:80", "index.php"]\n',
                "index.php": INDEX,
            },
            "cli-server has cli, sqlite",
            "Accepted",
        ),
    ],
    ids=["apache", "cli"],
)
def test_php_serves_as_its_images_do(
    vcr: Any, tmp_path: Path, files: dict[str, str], answer: str, logged: str
) -> None:
    port = started(vcr, tmp_path, files)
    assert answer in http(Expectation("get", "/", answer), port)
    until(logged, lambda: vcr("logs", tmp_path / "app").stdout)


def test_php_fpm_answers_a_web_server(vcr: Any, tmp_path: Path) -> None:
    files = {"Dockerfile": FPM, "index.php": INDEX, "app.ini": "variables_order = EGPCS\n"}
    port = started(vcr, tmp_path, files)
    answer = b"fpm-fcgi has fpm, sqlite mysql"
    assert answer in asked_until(port, fastcgi("/var/www/html/index.php"), answer)


def fastcgi(script: str) -> bytes:
    """Return the request of a web server for SCRIPT: FastCGI 1.0, sections 3.3 to 5.3."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("!BBHHBB", 1, kind, 1, len(body), 0, 0) + body

    values = {"SCRIPT_FILENAME": script, "REQUEST_METHOD": "GET", "REQUEST_URI": "/"}
    pairs = (
        bytes([len(name), len(text)]) + f"{name}{text}".encode() for name, text in values.items()
    )
    begin = record(1, struct.pack("!HB5x", 1, 0))
    return begin + record(4, b"".join(pairs)) + record(4, b"") + record(5, b"")


HAPROXY = """\
global
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    timeout client 30s
    timeout server 30s
    timeout connect 5s
frontend here
    bind :8080
    http-request return status 200 content-type text/plain string "own page"
"""
APP = """\
import http.server
http.server.HTTPServer(("", 80), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        ({"Dockerfile": "FROM httpd:2.4\n"}, "It works!"),
        ({"Dockerfile": "FROM httpd\nCOPY html/ /usr/local/apache2/htdocs/\n", **PAGE}, "own page"),
        (
            {
                "Dockerfile": "FROM caddy:2-alpine\nCOPY Caddyfile /etc/caddy/\nCOPY html /srv\n",
                "Caddyfile": ":80 {\n    root * /srv\n    file_server\n    log\n}\n",
                **PAGE,
                "vcr.toml": "[machine]\nports = [80]\n",
            },
            "own page",
        ),
        (
            {
                "Dockerfile": "FROM nginxinc/nginx-unprivileged\nCOPY html /usr/share/nginx/html\n",
                **PAGE,
            },
            "own page",
        ),
        (
            {
                "Dockerfile": "FROM haproxy:3.0\nEXPOSE 8080\n"
                "COPY haproxy.cfg /usr/local/etc/haproxy/\n",
                "haproxy.cfg": HAPROXY,
            },
            "own page",
        ),
        (
            {
                "Dockerfile": "FROM gcr.io/distroless/python3-debian12\nCOPY html .\n"
                'COPY app.py /\nEXPOSE 80\nCMD ["/app.py"]\n',
                "app.py": APP,
                **PAGE,
            },
            "own page",
        ),
    ],
    ids=["httpd", "httpd-files", "caddy", "unprivileged", "haproxy", "distroless"],
)
def test_a_web_server_serves_as_its_image_does(
    vcr: Any, tmp_path: Path, files: dict[str, str], answer: str
) -> None:
    port = started(vcr, tmp_path, files)
    assert answer in http(Expectation("get", "/", answer), port)
    until("GET", lambda: vcr("logs", tmp_path / "app").stdout)
