"""[services] of vcr.toml: containers beside the app's, in the profile dev."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import command_lines
from program import REPO
from services import toolset

pytestmark = pytest.mark.nix

DEV = ("--profile", "dev")
# It is ready after a while, counts its starts in a volume, and notes when it is told to end.
DB = (
    "busybox sleep 1; echo $WORD; echo start >> /data/log; "
    "trap 'echo stop >> /data/log; exit 0' TERM; "
    "busybox httpd -f -p 7000 -h /www & while :; do wait; done"
)
APP = "busybox wget -q -O - http://db:7000/; exec busybox httpd -f -p 8080 -h /www"


def command(script: str) -> str:
    return json.dumps(["busybox", "sh", "-c", script])


@pytest.fixture
def both(vcr: Any, project: Path) -> tuple[Path, Path]:
    """An app, and a database beside it in a project of its own."""
    db = project.with_name("db")
    vcr.env["VCR_ALLOW_OUTSIDE"] = str(project.parent)
    shutil.copytree(project, db)
    (db / "www/index.html").write_text("from the database\n")
    (db / "Dockerfile").write_text(
        f"FROM busybox\nUSER 1000:1000\nCOPY www /www\nEXPOSE 7000\nCMD {command(DB)}\n"
    )
    (project / "Dockerfile").write_text(
        f"FROM busybox\nUSER 1000:1000\nCOPY www /www\nEXPOSE 8080\nCMD {command(APP)}\n"
    )
    toml = (project / "vcr.toml").read_text()
    (project / "vcr.toml").write_text(
        toml + '\n[services.db]\nbuild = "../db"\nenv = { WORD = "given" }\n'
        'volumes = ["data:/data"]\n'
    )
    return project, db


def volume(vcr: Any) -> Path:
    (found,) = Path(vcr.env["XDG_STATE_HOME"]).glob("vcr/volumes/*/db/data")
    return found


def test_it_is_there_before_the_app_and_ends_with_it(
    vcr: Any, both: tuple[Path, Path], tmp_path: Path
) -> None:
    project, _ = both
    up = vcr.json("up", *DEV, project)
    assert up["status"] == "healthy"
    assert vcr("logs", project).stdout == "from the database\n"
    assert vcr("logs", "--service", "db", project).stdout == "given\n"
    assert "service db: healthy" in vcr("logs", "--system", project).stdout
    ports = {row["guest"]: row["host"] for row in up["forwards"]}
    assert set(ports) == {8080, 7000}
    with socket.create_connection(("127.0.0.1", ports[7000]), 5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"from the database" in client.makefile("rb").read()
    assert vcr.json("up", *DEV, project)["pid"] == up["pid"]
    vcr("down", project)
    assert (volume(vcr) / "log").read_text() == "start\nstop\n"
    assert [line for line in command_lines() if str(tmp_path) in line and "crun" in line] == []
    vcr("up", *DEV, project)  # the volume stays
    assert (volume(vcr) / "log").read_text() == "start\nstop\nstart\n"


def test_a_change_of_it_starts_both_anew(vcr: Any, both: tuple[Path, Path]) -> None:
    project, db = both
    first = vcr.json("up", *DEV, project)
    (db / "www/index.html").write_text("changed\n")
    assert vcr.json("up", *DEV, project)["pid"] != first["pid"]
    assert vcr("logs", project).stdout == "changed\n"


@pytest.mark.parametrize(
    ("script", "timeout", "words"),
    [
        (
            "echo no room; exit 3",
            60,
            (
                "the service db ended before it was healthy\n  why: it ended with exit code 3; the"
                " last line of its log: no room"
            ),
        ),
        (
            "echo waiting; busybox sleep 60",
            3,
            (
                "the service db did not become healthy\n  why: nothing listens on port 7000 after"
                " 3 s; it still runs\n  fix: if port 7000 is the right one, give it more time:"
                " `[services.db] timeout` in vcr.toml is 3 s now"
            ),
        ),
    ],
)
def test_one_that_never_gets_healthy_is_exit_code_6(
    vcr: Any, both: tuple[Path, Path], script: str, timeout: int, words: str
) -> None:
    project, db = both
    text = (db / "Dockerfile").read_text().replace(command(DB), command(script))
    (db / "Dockerfile").write_text(text)
    settings = (project / "vcr.toml").read_text()
    (project / "vcr.toml").write_text(f'{settings}timeout = "{timeout}s"\n')
    done = vcr("up", *DEV, project, code=6)
    assert f"error: {words}" in done.stderr
    assert "vcr logs --service db" in done.stderr
    assert vcr.json("ps", "--all")["machines"] == []
    assert vcr("logs", "--service", "db", project).stdout in {"no room\n", "waiting\n"}


def test_an_image_is_locked_with_the_project(vcr: Any, both: tuple[Path, Path]) -> None:
    project, db = both
    stages = vcr.json("build", "image", *DEV, db)["stages"]
    shutil.copytree(Path(stages[0]["path"]) / "layout", project / "image")
    text = (project / "vcr.toml").read_text().replace('build = "../db"', 'image = "database"')
    text += 'health = ["busybox", "wget", "-q", "-O", "/dev/null", "http://db:7000/"]\n'
    (project / "vcr.toml").write_text(f'{text}\n[base.database]\noci = "image"\n')
    shutil.rmtree(db)
    assert "[base.database] is new" in vcr("up", *DEV, project, code=4).stderr
    vcr("lock", project)
    assert json.loads((project / "vcr.lock").read_text())["bases"]["database"]["kind"] == "oci"
    shutil.rmtree(project / "image")  # it is in the store
    vcr("up", *DEV, project)
    assert vcr("logs", project).stdout == "from the database\n"


def test_a_project_outside_has_to_be_allowed(vcr: Any, both: tuple[Path, Path]) -> None:
    project, _ = both
    del vcr.env["VCR_ALLOW_OUTSIDE"]
    done = vcr("up", *DEV, project, code=2)
    assert "[services.db] build: ../db leads out of the project" in done.stderr


def test_where_there_are_none(vcr: Any, both: tuple[Path, Path]) -> None:
    project, db = both
    assert "do not go together" in vcr("run", "--hot", *DEV, project, code=2).stderr
    (db / "vcr.lock").unlink()
    done = vcr("up", *DEV, project, code=4)
    assert "there is no vcr.lock" in done.stderr
    assert "service  db" in done.stderr
    (project / "vcr.toml").write_text("[services.db]\n")
    assert "give either image or build" in vcr("up", *DEV, project, code=2).stderr
    (project / "vcr.toml").write_text('[services.db]\nimage = "x"\nvolume = ["a:/b"]\n')
    assert "did you mean 'volumes'" in vcr("up", *DEV, project, code=2).stderr


@pytest.mark.vm
def test_other_profiles_say_that_they_start_none(vcr: Any, project: Path) -> None:
    toml = (project / "vcr.toml").read_text()
    (project / "vcr.toml").write_text(f'{toml}\n[services.db]\nbuild = "../nothing"\n')
    done = vcr("up", project)
    assert "[services] are for the profile dev: none is started" in done.stderr


# --- who is not root

START = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from vcr.engines.container.services import Service
from vcr.engines.container.bundle import Bind
from vcr.engines.container.machine import Additions
from vcr.model.project import load_project
from vcr.runtime.machine import start
from vcr.runtime.record import Records
from vcr.settings import Settings
home, app, db = map(Path, sys.argv[2:])
records = Records(Settings.load({"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "r")}))
data = home / "volumes/db/data"
beside = Service("db", str(db), ("WORD=given",), (Bind(data, "/data"),), (data,))
machine = start(load_project(home / "project"), app, [], records,
                die_with_parent=True, additions=Additions(services=(beside,)))
try:
    print(machine.wait_until_healthy(None).channels.log.read_text(), end="")
finally:
    machine.stop(5)
print((data / "log").read_text(), end="")
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of another user's, which pytest's are not."""
    path = Path(tempfile.mkdtemp(prefix="vcr-home-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_who_is_not_root_has_services_too(vcr: Any, both: tuple[Path, Path], home: Path) -> None:
    project, _ = both
    vcr("up", *DEV, project)
    state = Path(vcr.env["XDG_STATE_HOME"], "vcr/roots")
    app, db = (
        next(state.glob(f"{name}-{'?' * 12}/dev-*/container")).resolve()
        for name in ("project", "project-db")
    )
    python = toolset("python") / "usr/bin/python3"
    shutil.copytree(REPO / "vcr", home / "lib/vcr")
    shutil.copytree(project, home / "project")
    for path in (home, *home.rglob("*")):
        os.chown(path, 4321, 4321)
    become = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"]
    argv: list[str | Path] = [*become, python, "-I", "-B", "-c", START, home / "lib", home, app, db]
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "from the database\nstart\nstop\n"


def test_a_service_does_not_choose_what_the_next_one_is_shown(
    vcr: Any, both: tuple[Path, Path], tmp_path: Path
) -> None:
    """The attack that was found: the first one made a link where the second's volume was."""
    project, db = both
    secret = tmp_path / "secret"
    secret.mkdir()
    swap = f"busybox rm -rf /v/sub; busybox ln -s {secret} /v/sub; exec busybox httpd -f -p 7000"
    (db / "Dockerfile").write_text(f"FROM busybox\nUSER 0:0\nEXPOSE 7000\nCMD {command(swap)}\n")
    (project / "vol/sub").mkdir(parents=True)
    toml = (project / "vcr.toml").read_text().replace("data:/data", "./vol:/v")
    (project / "vcr.toml").write_text(
        f'{toml}\n[services.next]\nbuild = "../next"\nvolumes = ["./vol/sub:/v"]\n'
    )
    take = "echo owned > /v/owned; exec busybox httpd -f -p 7001"
    shutil.copytree(db, project.with_name("next"))
    (project.with_name("next") / "Dockerfile").write_text(
        f"FROM busybox\nUSER 0:0\nEXPOSE 7001\nCMD {command(take)}\n"
    )
    assert "to which a service writes" in vcr("up", *DEV, project, code=2).stderr
    assert not list(secret.iterdir())
