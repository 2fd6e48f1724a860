"""Services beside an app: what vcr.toml says of them, and what those in the namespaces are told."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from vcr.app import Context, UpOptions, Variant
from vcr.app.running.start import Start
from vcr.engines.container.bundle import Bind
from vcr.engines.container.machine import NO_ADDITIONS, Additions
from vcr.engines.container.services import Neighbour, Service, hosts
from vcr.engines.machine import Channels
from vcr.errors import ExitCode, UsageError, VcrError
from vcr.lock.inputs import wanted_inputs
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe
from vcr.model.project import Project, load_project
from vcr.settings import Settings
from vcr.ui import Ui

DB = Service("db", "/nix/store/vm")


def project_with(directory: Path, toml: str) -> Project:
    (directory / "Dockerfile").write_text("FROM scratch\n")
    (directory / "vcr.toml").write_text(toml)
    return load_project(directory)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[services.db]\n", "give either image or build"),
        ('[services.db]\nimage = "x"\nbuild = "y"\n', "give either image or build"),
        ('[services.Db]\nimage = "x"\n', "'Db' is not a host name"),
        ('[services.db]\nimage = "x"\nvolumes = ["data"]\n', "'data' is not a volume"),
        ('[services.db]\nimage = "x"\nvolumes = ["a:/b/../.."]\n', "is not a volume"),
        ('[services.db]\nimage = "x"\nvolumes = ["..:/b"]\n', "is not a volume"),
        ('[services.db]\nimage = "x"\nports = [0]\n', "0 is not a port, 1 to 65535"),
        ('[services.db]\nimage = "x"\nprots = [1]\n', "unknown key 'services.db.prots'"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, toml: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        project_with(tmp_path, toml)
    assert words in f"{caught.value.what} {caught.value.why}"


def test_an_image_is_an_input_and_a_directory_is_not(tmp_path: Path) -> None:
    image = "registry.example/team/postgres@sha256:" + "a" * 64
    toml = f'[services.db]\nimage = "{image}"\n[services.other]\nbuild = "../other"\n'
    inputs = wanted_inputs(project_with(tmp_path, toml)).digests()
    assert set(inputs) == {f"[base.{image}]"}


def test_additions_with_other_services_start_anew() -> None:
    assert not NO_ADDITIONS
    assert Additions(env=("A=b",)).digest != Additions(env=("A=b",), services=(DB,)).digest
    assert Additions(services=(DB,)).digest != Additions(services=(Service("db", "/other"),)).digest


def test_names_are_in_hosts() -> None:
    rows = [line.split() for line in hosts([DB, Service("queue", "/x")]).splitlines()]
    assert rows[0] == ["127.0.0.1", "localhost", "vcr"]
    assert rows[1][:2] == ["::1", "localhost"]
    assert rows[-2:] == [["127.0.0.1", "db"], ["127.0.0.1", "queue"]]


@pytest.mark.parametrize(
    ("probe", "found"),
    [
        (CommandProbe(("ready",)), (("ready",), "", 5432)),
        (HttpProbe(80, "/health"), ((), "/health", 80)),
        (None, ((), "", 5432)),
    ],
)
def test_how_its_health_is_asked_for(
    probe: CommandProbe | HttpProbe | None, found: tuple[object, ...], tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("console.log", "app.log", "agent", "qmp")]
    health = HealthCheck(probe, 1, 1, 1, 1, 1) if probe else None
    settings = Neighbour.settings(DB, Channels(*files), (5432, 9), health, "SIGINT")
    neighbour = Neighbour.of(json.loads(json.dumps(settings)))
    assert (neighbour.health, neighbour.path, neighbour.port) == found
    assert neighbour.log == str(tmp_path / "service-db.log")
    assert neighbour.scratch == str(tmp_path / "scratch/services/db")


@pytest.mark.parametrize(
    ("script", "words"),
    [("print('why', flush=True)", "ended before"), ("import time; time.sleep(60)", "not become")],
)
def test_one_that_is_not_healthy_says_its_last_words(
    tmp_path: Path, script: str, words: str
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        child = subprocess.Popen([sys.executable, "-c", script], stdout=output)
    # Nobody listens on port 1.
    neighbour = Neighbour("db", str(tmp_path), str(log), port=1, timeout=1.0)
    with pytest.raises(VcrError) as caught:
        neighbour.wait_until_healthy(Path("/crun"), child)
    child.kill()
    child.wait()
    assert words in caught.value.what
    assert caught.value.code is ExitCode.UNHEALTHY
    assert caught.value.why in {"why", "it printed nothing"}


@pytest.mark.parametrize(
    ("profile", "runtime", "hot", "words"),
    [
        ("vm", None, False, ""),
        ("dev", "podman", False, "podman starts no services"),
        ("dev", None, True, "do not go together"),
    ],
)
def test_where_they_are_not_started(
    tmp_path: Path, profile: str, runtime: str | None, hot: bool, words: str
) -> None:
    project = project_with(tmp_path, '[services.db]\nbuild = "../db"\n')
    wanted = Start(Variant(profile), UpOptions(runtime=runtime))
    err = io.StringIO()
    context = Context(tmp_path, Settings.load({"HOME": str(tmp_path)}), Ui(err=err))
    given = Additions(binds=(Bind(tmp_path, "/x"),))
    if words:
        with pytest.raises(UsageError, match=words):
            wanted.with_services(context, project, given, hot=hot)
        return
    assert wanted.with_services(context, project, given) is given
    assert "none is started" in err.getvalue()
