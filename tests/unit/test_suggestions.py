"""Images that cannot be fetched: where they are named, and what to write instead."""

import io
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
    assert '"apt", "ca-certificates"]' in error_of("python", commands=("apt-get",)).fix


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
    assert "Dockerfile:4:1: no packages are known for example/unknown" in said


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
    assert f"warning: Dockerfile:2:1: {why} for {image}: " in app.ui.err.getvalue()
    assert f'[base."{image}"] packages = [...]' in app.ui.err.getvalue()
    assert set(load_project(tmp_path).config.base) == {"nginx"}


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
