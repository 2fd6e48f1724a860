"""Images that cannot be fetched: where they are named, and what to write instead."""

import io
import subprocess
import tomllib
from pathlib import Path

import pytest

from vcr.cli import run
from vcr.cli.context import App
from vcr.dockerfile.base_config import wrong_key
from vcr.dockerfile.text import Position
from vcr.errors import ExitCode, FetchError
from vcr.lock.inputs import wanted_inputs
from vcr.lock.suggested.images import IMAGES, VARIANTS
from vcr.lock.suggestions import naming, suggestion
from vcr.model.project import load_project
from vcr.model.url import familiar_name
from vcr.settings import Settings
from vcr.ui import Ui

AT = Position("Dockerfile", 3, 1)


@pytest.mark.parametrize(
    "name", ["alpine", "alpine:latest", "docker.io/library/alpine", "index.docker.io/alpine:latest"]
)
def test_names_of_one_image(name: str) -> None:
    assert familiar_name(name) == "alpine"


@pytest.mark.parametrize(
    "name", ["alpine:3", "ghcr.io/library/alpine", "alpine@sha256:00", "index.alpine"]
)
def test_names_of_other_images(name: str) -> None:
    assert familiar_name(name) != "alpine"


def test_another_host_may_be_called_index() -> None:
    assert familiar_name("index.example.com/team/app") == "index.example.com/team/app"


def error_of(
    reference: str, stages: tuple[str, ...] = (), commands: tuple[str, ...] = ()
) -> FetchError:
    with pytest.raises(FetchError) as caught, naming(reference, AT, stages, commands):
        raise FetchError("cannot read it", fix="check the network")
    return caught.value


def test_an_image_that_cannot_be_fetched_is_named_with_its_line_and_packages() -> None:
    error = error_of("python:3.12-slim")
    assert error.what == "Dockerfile:3:1: python:3.12-slim: cannot read it"
    assert '[base."python:3.12-slim"]\npackages = ["python3", ' in error.fix
    assert "vcr lock --suggest" in error.fix
    assert '"apt"' not in error.fix
    fix = error_of("python:3-slim", commands=("apt-get",)).fix
    assert '"apt", "ca-certificates"]' in fix


def test_what_may_be_a_stage_or_is_not_known() -> None:
    assert error_of("biuld", ("build", "test")).fix == "did you mean the stage build?"
    assert '[base."acme/thing"]' in error_of("acme/thing").fix


VARIOUS = [f"{name}:8-{word}" for name, word in VARIANTS]
DISTROLESS = [
    f"gcr.io/distroless/{name}"
    for name in (
        "static-debian12",
        "base",
        "cc:debug",
        "java21-debian12:nonroot",
        "nodejs22",
        "python3-debian12",
    )
]


@pytest.mark.parametrize("name", [*sorted(IMAGES), *VARIOUS, *DISTROLESS])
def test_what_is_suggested_is_a_base(tmp_path: Path, name: str) -> None:
    forms = (name, f"docker.io/library/{name}:1.2-slim", f"{name}@sha256:{'0' * 64}")
    for reference in (*forms, f"localhost:5000/{name}:1.2") if name in IMAGES else (name,):
        (tmp_path / "Dockerfile").write_text(f"FROM {reference}\n")
        (tmp_path / "vcr.toml").write_text(suggestion(reference))
        project = load_project(tmp_path)
        wanted = wanted_inputs(project)
        assert wanted.places == {}
        assert all(base.packages for base in wanted.bases.values())
        config = next(iter(project.config.base.values())).image_config
        assert wrong_key(config) == ""


def make_app(tmp_path: Path) -> App:
    return App(Settings.load({"HOME": str(tmp_path)}), Ui(io.StringIO(), io.StringIO()), tmp_path)


def test_lock_suggest_adds_the_sections_once(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM node:20 AS b\nFROM nginx\nCOPY --from=b / /\n")
    (tmp_path / "vcr.toml").write_text("[machine]\nmemory = 256\n")
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    text = (tmp_path / "vcr.toml").read_text()
    assert text.startswith("[machine]\nmemory = 256\n\n[base.")
    assert set(load_project(tmp_path).config.base) == {"node:20", "nginx"}
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    assert (tmp_path / "vcr.toml").read_text() == text


CALLING = """\
FROM python:3.12-slim AS a
RUN apt-get update && apt-get install -y curl
FROM a AS b
RUN ["git", "clone", "x"]
FROM node:20
RUN <<EOF
git clone x && make
EOF
COPY --from=b / /
"""


def test_lock_suggest_adds_what_the_steps_call(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(CALLING)
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    bases = load_project(tmp_path).config.base
    assert {"apt", "ca-certificates", "python3"} <= set(bases["python:3.12-slim"].packages)
    assert bases["python:3.12-slim"].configure
    assert not {"git", "curl"} & set(bases["python:3.12-slim"].packages)
    assert {"git", "make", "nodejs"} <= set(bases["node:20"].packages)
    assert not bases["node:20"].configure


def test_lock_suggest_says_what_it_cannot_do(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM golang:1-alpine AS a\nRUN apk --no-cache add git make\nRUN x && apk upgrade\n"
        "FROM example/unknown\nCOPY --from=a / /\n"
    )
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    assert isinstance(app.ui.err, io.StringIO)
    said = app.ui.err.getvalue()
    assert "Dockerfile:2:1: apk is of Alpine: take it out of the step" in said
    assert "Dockerfile:3:1: apk is of Alpine" in said
    assert '"git", "make" to packages of [base."golang:1-alpine"]' in said
    assert "Dockerfile:4:1: example/unknown: no packages are known" in said


def test_applets_of_busybox_are_links(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM alpine\nRUN wget -O a http://x/ && grep x a | make\n"
    )
    assert run(make_app(tmp_path), ["lock", "--suggest"]) is ExitCode.OK
    base = load_project(tmp_path).config.base["alpine"]
    assert base.links["/usr/bin/wget"] == "busybox"
    assert not {"wget", "grep"} & set(base.packages)
    assert "make" in base.packages


def test_what_the_app_and_its_health_check_call_is_there(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        'FROM busybox AS a\nHEALTHCHECK --retries=2 CMD nc -z localhost 80\nENTRYPOINT ["tini"]\n'
        'FROM alpine\nCOPY --from=a / /\nHEALTHCHECK CMD ["curl", "x"]\nCMD node a && jq . b\n'
    )
    assert run(make_app(tmp_path), ["lock", "--suggest"]) is ExitCode.OK
    bases = load_project(tmp_path).config.base
    assert {"netcat-openbsd", "tini"} <= set(bases["busybox"].packages)
    assert {"curl", "nodejs", "jq"} <= set(bases["alpine"].packages)


def test_lock_suggest_prints_what_it_adds_as_toml(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM node:20 AS b\nFROM nginx\nCOPY --from=b / /\n")
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    assert isinstance(app.ui.out, io.StringIO)
    assert app.ui.out.getvalue() == (tmp_path / "vcr.toml").read_text()


def test_lock_suggest_leaves_a_file_that_it_would_break(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM nginx\n")
    text = 'base = {debian = {packages = ["dash"]}}\n'
    (tmp_path / "vcr.toml").write_text(text)
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.USAGE
    assert (tmp_path / "vcr.toml").read_text() == text
    assert isinstance(app.ui.err, io.StringIO)
    assert '[base."nginx"]' in app.ui.err.getvalue()


def test_lock_suggest_keeps_the_mode_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM nginx\n")
    (tmp_path / "vcr.toml").touch(mode=0o600)
    assert run(make_app(tmp_path), ["lock", "--suggest"]) is ExitCode.OK
    assert (tmp_path / "vcr.toml").stat().st_mode & 0o777 == 0o600


def test_lock_suggest_makes_the_file(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian:bookworm\n")
    assert run(make_app(tmp_path), ["lock", "--suggest"]) is ExitCode.OK
    base = load_project(tmp_path).config.base["debian:bookworm"]
    assert base.configure
    assert base.suite == "trixie"


def test_variants_are_those_of_the_tag() -> None:
    assert "php-fpm" in suggestion("php:8.2-fpm-bookworm")
    assert "apache2-foreground" in suggestion("library/php:8.2.1-apache")
    assert "default-jre-headless" in suggestion("eclipse-temurin:21-jre-alpine")
    assert "default-jdk-headless" in suggestion("eclipse-temurin:21")
    assert suggestion("acme/static") == ""
    assert 'user = "nonroot"' in suggestion("gcr.io/distroless/static-debian12:nonroot")


@pytest.mark.parametrize(
    "command", ['["curl", "-f", "http://localhost/"]', "curl -f http://localhost/ || exit 1"]
)
def test_what_a_health_check_calls_is_in_the_base(tmp_path: Path, command: str) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM node:20\nHEALTHCHECK --retries=2 CMD {command}\n")
    assert run(make_app(tmp_path), ["lock", "--suggest"]) is ExitCode.OK
    assert "curl" in load_project(tmp_path).config.base["node:20"].packages


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("mcr.microsoft.com/dotnet/aspnet:8.0", "Debian has no packages of .NET"),
        ("mongo:7", "Debian has no packages of MongoDB"),
        ("docker.elastic.co/kibana/kibana:8", "Debian has no packages of Kibana"),
        ("gradle:8-jdk21", "Debian has only Gradle 4.4"),
        ("swift:6", "Debian has no Swift for riscv64"),
        ("fedora:42", "Debian's packages are not those of Fedora"),
        ("acme/mongo-tool", "no packages are known"),
        ("acme/thing", "no packages are known"),
    ],
)
def test_what_nothing_stands_for_is_said_with_its_line(
    tmp_path: Path, image: str, why: str
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM nginx AS a\nFROM {image}\nCOPY --from=a / /\n")
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    assert isinstance(app.ui.err, io.StringIO)
    assert f"warning: Dockerfile:2:1: {image}: {why}" in app.ui.err.getvalue()
    assert f'[base."{image}"] packages = [...]' in app.ui.err.getvalue()
    assert set(load_project(tmp_path).config.base) == {"nginx"}


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("python:3.9-slim", "3.13"),
        ("node:22-alpine", "20"),
        ("tomcat:9-jdk17", "10.1"),
        ("mysql:8", "MariaDB 11.8"),
        ("python:3", ""),
        ("python:3.13.1-slim", ""),
        ("node:lts", ""),
        ("php:8.4-fpm", ""),
        ("tomcat:11", ""),
        ("debian:bookworm", ""),
        ("acme/thing:1", ""),
    ],
)
def test_another_version_than_the_tag_asks_for_is_told(
    tmp_path: Path, image: str, version: str
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\n")
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    assert isinstance(app.ui.err, io.StringIO)
    told = f"Dockerfile:1:1: {image} is another version than Debian's, {version}: "
    assert ("another version" in app.ui.err.getvalue()) is bool(version)
    assert told in app.ui.err.getvalue() or not version


@pytest.mark.parametrize(
    ("dockerfile", "line"),
    [
        ("FROM node:20\nCMD yarn start\n", 2),
        ('FROM node:20\nRUN npm ci\nENTRYPOINT ["pnpm", "start"]\n', 3),
        ("FROM node:20 AS a\nRUN yarn build\nFROM node:20\nCOPY --from=a / /\nCMD yarn x\n", 5),
        ("FROM node:20\nRUN yarn install\nCMD yarn start\n", 0),
        ("FROM node:20 AS a\nRUN yarn install\nFROM a\nCMD yarn start\n", 0),
        ("FROM node:20\nRUN npm install -g pnpm@9\nCMD pnpm start\n", 0),
        ("FROM node:20\nCMD npm start\n", 0),
    ],
)
def test_what_corepack_cannot_fetch_any_more_is_told(
    tmp_path: Path, dockerfile: str, line: int
) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    assert isinstance(app.ui.err, io.StringIO)
    said = app.ui.err.getvalue()
    assert ("is fetched by corepack" in said) is bool(line)
    assert f"Dockerfile:{line}:1: " in said or not line


def scripts() -> dict[str, str]:
    """Return what begins with #!, by image and path."""
    found: dict[str, str] = {}
    for name in [*IMAGES, *VARIOUS]:
        base = tomllib.loads(suggestion(name))["base"][name]
        found |= {f"{name} {path}": text for path, text in base.get("files", {}).items()}
    return {name: text for name, text in found.items() if text.startswith("#!")}


def test_scripts_are_of_their_shell(tmp_path: Path) -> None:
    file = tmp_path / "script"
    for name, text in scripts().items():
        file.write_text(text)
        shell = text.partition("\n")[0].removeprefix("#!")
        assert shell in {"/bin/sh", "/bin/bash"}, name
        subprocess.run([shell, "-n", file], check=True)


@pytest.mark.parametrize(
    ("image", "words", "runs"),
    [
        ("node:20", ["app.js", "x"], "node app.js x"),
        ("node:20", ["--version"], "node --version"),
        ("node:20", ["printf", "own"], "own"),
        ("php:8-cli", ["-r", "x"], "php -r x"),
        ("redis:7", ["--appendonly", "yes"], "redis-server --appendonly yes --protected-mode no"),
        ("redis:7", ["redis-server"], "redis-server --protected-mode no"),
        ("valkey", ["/x.conf"], "valkey-server /x.conf --protected-mode no"),
        ("haproxy", ["haproxy", "-f", "x"], "haproxy -W -db -f x"),
        ("haproxy", ["-v"], "haproxy -W -db -v"),
        ("memcached", ["-m", "64"], "memcached -m 64"),
    ],
)
def test_entrypoints_take_options_as_the_images_do(
    tmp_path: Path, image: str, words: list[str], runs: str
) -> None:
    base = tomllib.loads(suggestion(image))["base"][image]
    (name,) = base["entrypoint"]
    (tmp_path / name).write_text(base["files"][f"/usr/local/bin/{name}"])
    for program in ("node", "php", "redis-server", "valkey-server", "haproxy", "memcached"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho {program} "$@"\n')
        (tmp_path / program).chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    argv = ["sh", tmp_path / name, *words]
    done = subprocess.run(argv, env=path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == runs


def test_images_have_compilers_unless_their_tags_say_slim() -> None:
    for name in ("python", "ruby", "node"):
        assert '"gcc"' in suggestion(f"{name}:3.3")
        assert '"gcc"' not in suggestion(f"{name}:3.3-slim-bookworm")
        assert '"gcc"' not in suggestion(f"{name}:3.3-alpine3.20")
    assert '"gcc"' not in suggestion("golang:1.24-alpine")


@pytest.mark.parametrize("step", ["", "RUN apt-get update && apt-get install -y libzip-dev\n"])
def test_composer_that_is_copied_has_its_package(tmp_path: Path, step: str) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM php:8.4-fpm\n{step}COPY --from=composer:2 /usr/bin/composer /usr/bin/composer\n"
        "RUN composer install --no-dev\n"
    )
    assert run(make_app(tmp_path), ["lock", "--suggest"]) is ExitCode.OK
    bases = load_project(tmp_path).config.base
    assert "composer" in bases["php:8.4-fpm"].packages
    assert ("apt" in bases["php:8.4-fpm"].packages) is bool(step)
    assert "composer" in bases["composer:2"].packages


def test_packages_with_scripts_make_their_users_themselves() -> None:
    assert "users = { postgres = 999 }" in suggestion("postgres")
    configured = suggestion("postgres", ("apt-get",))
    assert "configure = true" in configured
    assert "users" not in configured


def test_long_settings_are_shown_in_the_columns_of_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM php:8.4-apache\n")
    app = make_app(tmp_path)
    assert run(app, ["lock", "--suggest"]) is ExitCode.OK
    for columns in (80, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = make_app(tmp_path)
        assert run(shown, ["inspect", "--config"]) is ExitCode.OK
        assert isinstance(shown.ui.out, io.StringIO)
        lines = shown.ui.out.getvalue().splitlines()
        assert max(map(len, lines)) <= columns
        (at,) = [
            n for n, line in enumerate(lines) if line.startswith("base.php:8.4-apache.packages")
        ]
        assert 'vcr.toml  ["php-cli", ' in lines[at]
        assert lines[at + 1].startswith(" " * lines[at].index("["))
        # Nothing of it is lost.
        value = next(iter(load_project(tmp_path).config.base.values())).packages
        text = "".join(lines).replace(" ", "")
        assert all(f'"{package}"' in text for package in value)
