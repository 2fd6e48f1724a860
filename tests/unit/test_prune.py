"""`vcr prune`: which builds, roots and leftovers may go, and what stays in any case."""

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vcr import process
from vcr.app.hosting.prune import prune_local
from vcr.atomic import SCRATCH, new_directory, scratch_directory
from vcr.build.gc_roots import Roots, Rule, layers_beside, locked, olds_of
from vcr.build.history import (
    BUILDS,
    LOCK,
    PROJECT,
    Build,
    last_drvs,
    read_builds,
    remember,
    write_builds,
)
from vcr.cli import run
from vcr.cli.context import App
from vcr.flock import flocked
from vcr.runtime.prune import exclusive, find_leftovers
from vcr.runtime.record import Record, Records, start_time
from vcr.settings import Settings
from vcr.tools.nix import Nix
from vcr.tools.nix_store import NixStore, is_build
from vcr.ui import Ui

REPO = Path(__file__).resolve().parents[2]
HOUR = 3600.0


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    temporary = tmp_path / "tmp"  # not that of whatever else runs on this host
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return Settings.load({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "r")})


def make_builds(settings: Settings, key: str, profile: str, *hours: float) -> Path:
    """Note builds of the project KEY, each so many HOURS ago."""
    directory = settings.state_dir / "roots" / key / profile
    builds = [
        Build(time.time() - ago * HOUR, {"image": Path(f"/nix/store/{key}-{profile}-{ago:g}.drv")})
        for ago in hours
    ]
    write_builds(directory, builds)
    used = builds[0].built
    for path in (directory / BUILDS, directory):
        os.utime(path, (used, used))
    return directory


def running_record(key: str, **more: str) -> Record:
    me = os.getpid()
    return Record(
        key, key, "/p", "/nix/store/vm", me, start_time(me) or 0, 1.0, (), "healthy", **more
    )


# --- the history


def test_a_build_is_one_however_many_stages_of_it_are_built(tmp_path: Path) -> None:
    remember(tmp_path, {"image": Path("/1")})
    remember(tmp_path, {"image": Path("/1"), "vm": Path("/2")})
    remember(tmp_path, {"image": Path("/1")})
    (build,) = read_builds(tmp_path)
    assert build.drvs == {"image": Path("/1"), "vm": Path("/2")}
    remember(tmp_path, {"image": Path("/3")})
    assert [b.drvs["image"] for b in read_builds(tmp_path)] == [Path("/3"), Path("/1")]
    assert last_drvs(read_builds(tmp_path)) == {"image": Path("/3"), "vm": Path("/2")}
    remember(tmp_path, {"image": Path("/1")})  # the change is taken back
    assert [b.drvs["image"] for b in read_builds(tmp_path)] == [Path("/1"), Path("/3")]


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"built": "x", "drvs": {}}]', '{"image": "/x"}']
)
def test_a_history_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / BUILDS).write_text(text)
    assert read_builds(tmp_path) == []


# --- roots


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (Rule(), {"a": [1], "b": [2]}),
        (Rule(keep=2), {"a": [1, 3], "b": [2]}),
        (Rule(keep=0), {}),
        (Rule(keep=0, age=2.5 * HOUR), {"a": [1], "b": [2]}),
        (Rule(keep=1, age=4 * HOUR), {"a": [1, 3], "b": [2]}),
        (Rule(keep=0, busy=frozenset({"a"})), {"a": [1]}),
    ],
)
def test_which_builds_may_go(settings: Settings, rule: Rule, left: dict[str, list[float]]) -> None:
    make_builds(settings, "a", "prod-riscv64", 1, 3, 5)
    make_builds(settings, "b", "stage-riscv64", 2)
    roots = Roots(settings)
    for project in roots.projects():
        for old in olds_of(project, rule):
            old.remove()
    names = {f"/nix/store/{key}-" for key, hours in left.items() for _ in hours}
    drvs = sorted(str(drv) for drv in roots.drvs())
    assert len(drvs) == sum(map(len, left.values()))
    assert all(any(drv.startswith(name) for name in names) for drv in drvs)
    assert {project.name for project in roots.projects()} == set(left)


def test_builds_of_a_profile_that_was_renamed_are_older_ones_of_it(settings: Settings) -> None:
    make_builds(settings, "a", "stage-riscv64", 2, 3)
    make_builds(settings, "a", "vm-riscv64", 1)
    make_builds(settings, "a", "stage-release-riscv64", 2, 3)
    make_builds(settings, "a", "stage-amd64", 4)

    def left(keep: int) -> set[str]:
        roots = Roots(settings)
        olds = [old for project in roots.projects() for old in olds_of(project, Rule(keep))]
        return {drv.name.removeprefix("a-") for drv in roots.drvs(olds)}

    others = {"vm-riscv64-1.drv", "stage-release-riscv64-2.drv", "stage-amd64-4.drv"}
    assert left(1) == others
    assert left(2) == others | {"stage-riscv64-2.drv", "stage-release-riscv64-3.drv"}


def test_what_would_go_is_what_goes(settings: Settings) -> None:
    make_builds(settings, "a", "prod-riscv64", 1, 3)
    make_builds(settings, "a", "dev-amd64", 2, 4)
    roots = Roots(settings)
    olds = [old for project in roots.projects() for old in olds_of(project, Rule())]
    would = roots.drvs(olds)
    for old in olds:
        old.remove()
    assert roots.drvs() == would == {Path("/nix/store/a-prod-riscv64-1.drv"),
                                     Path("/nix/store/a-dev-amd64-2.drv")}  # fmt: skip


def test_a_project_whose_directory_is_gone_keeps_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    project = make_builds(settings, "a", "prod-riscv64", 0).parent
    (project / PROJECT).write_text(f"{tmp_path}\n")
    assert list(olds_of(project, Rule())) == []
    (project / PROJECT).write_text(f"{tmp_path}/gone\n")
    (old,) = olds_of(project, Rule())
    assert "its directory is gone" in old.name
    assert list(olds_of(project, Rule(busy=frozenset({"a"})))) == []


def test_the_newest_toolchain_and_tools_stay(settings: Settings) -> None:
    for name, hours in (("toolchain-1", 7), ("toolchain-2", 6), ("tools", 99)):
        path = settings.state_dir / "roots" / name
        path.mkdir(parents=True)
        os.utime(path, (time.time() - hours * HOUR,) * 2)
    for keep in (0, 1):
        assert [old.name for old in Roots(settings).toolchains(Rule(keep))] == ["toolchain-1"]
    assert Roots(settings).projects() == []


def test_layers_that_no_build_needs_may_go(settings: Settings, tmp_path: Path) -> None:
    project = make_builds(settings, "a", "prod-riscv64", 1).parent
    place = project / "layers-riscv64"
    place.mkdir()
    for name in ("old", "new"):
        (tmp_path / name).touch()
        (place / name).symlink_to(tmp_path / name)
    (old,) = layers_beside(project, {tmp_path / "new"})
    old.remove()
    assert [path.name for path in place.iterdir()] == ["new"]
    (project / "prod-riscv64" / BUILDS).unlink()  # it was only locked so far
    assert layers_beside(project, set()) == []


def test_a_project_that_is_being_built_is_left_alone(settings: Settings) -> None:
    make_builds(settings, "a", "prod-riscv64", 1)
    make_builds(settings, "b", "prod-riscv64", 1)
    roots = Roots(settings)
    with flocked(roots.base / "a" / LOCK, shared=True), locked(roots.projects()) as free:
        assert [path.name for path in free] == ["b"]
    with locked(roots.projects()) as free:
        assert len(free) == 2


# --- the store


def test_outputs_for_one_project_may_be_removed_and_no_others() -> None:
    for name in ("vcr-image-x", "vcr-machine-riscv64", "vcr-lower"):
        assert is_build(Path(f"/nix/store/{'a' * 32}-{name}")), name
        assert not is_build(Path(f"/nix/store/{'a' * 32}-{name}.drv")), name
    for name in ("vcr-tools-python", "vcr-linux-6.12-riscv64", "vcr-busybox", "vcr-oci-blob",
                 "vcr-lib", "vcr", "vcr-linuxkit-v1", "my-vcr-image-x"):  # fmt: skip
        assert not is_build(Path(f"/nix/store/{'a' * 32}-{name}")), name


def test_the_kernels_of_build_machines_stay() -> None:
    """They are the same for every project, and take longer than the layers that need them."""
    names = re.findall(r'name = "(vcr-[^"]+)"', (REPO / "nix/lib/machine.nix").read_text())
    assert names
    for name in names:
        path = Path(f"/nix/store/{'a' * 32}-{name.replace('${arch}', 'riscv64')}")
        assert not is_build(path), path.name


def test_what_nix_is_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    image, other = (Path(f"/nix/store/{c * 32}-vcr-image-x") for c in "ab")
    half = image.with_name(f"{image.name}.drv.chroot")
    answers = {
        "--gc": f"finding garbage\n{image}\n{half}\n/nix/store/{'c' * 32}-gcc\n",
        "--check-validity": f"{half}\n",
        "--query": "7\n8",
    }
    seen: list[list[str]] = []

    def answer(argv: list[object], **_: object) -> process.Result:
        seen.append([str(word) for word in argv])
        return process.Result(("nix-store",), 0, answers.get(seen[-1][1], "").encode(), "")

    monkeypatch.setattr(process, "run", answer)
    store = NixStore(Nix(settings))
    assert store.dead_builds() == [image]
    assert store.sizes([image, other]) == [7, 8]
    assert store.delete([image, other]) == [image, other]
    assert seen[-1] == ["nix-store", "--delete", str(image), str(other)]
    assert store.needed_by([Path("/nix/store/not-there.drv")]) == set()
    assert len(seen) == 4


# --- this host


def leftovers(records: Records) -> dict[str, set[str]]:
    with exclusive(records):
        found: dict[str, set[str]] = {}
        for each in find_leftovers(records):
            found.setdefault(each.kind, set()).add(each.path.name)
        return found


def make_machine(records: Records, key: str) -> None:
    channels = records.channels(key)
    for path in (channels.console, channels.log, channels.agent):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 10000)


def test_what_of_machines_may_go(settings: Settings) -> None:
    records = Records(settings)
    for key in ("up", "down", "hot", "hot~a", "hot~b", "busy"):
        make_machine(records, key)
    records.save(running_record("up"))
    records.save(running_record("hot", place="hot~a"))
    (settings.runtime_dir / "stale").mkdir()
    layers = settings.state_dir / "layers"
    for name in ("used", "service", "unused", ".new-1"):
        (layers / name / "fs").mkdir(parents=True)
    scratch = records.channels("up").scratch
    scratch.mkdir()
    (scratch / "layers").write_text(json.dumps([str(layers / "used/fs")]))
    (scratch / "services/db").mkdir(parents=True)
    (scratch / "services/db/layers").write_text(json.dumps([str(layers / "service/fs")]))
    with records.locked("busy"):
        found = leftovers(records)
        assert found["machine"] == {"down"}
    assert leftovers(records)["machine"] == {"down", "busy"}
    assert found["layer"] == {"unused", ".new-1"}
    sockets = {records.channels(key).agent.parent.name for key in ("down",)}
    assert found["socket"] == {*sockets, "stale"}


def test_prune_local_removes_them_and_tells_how_much(settings: Settings, tmp_path: Path) -> None:
    records = Records(settings)
    make_machine(records, "down")
    make_machine(records, "up")
    records.save(running_record("up"))
    would = prune_local(records, dry_run=True)
    assert records.directory("down").exists()
    done = prune_local(records, dry_run=False)
    assert would == done
    assert {row.kind for row in done} == {"machine", "socket"}
    assert sum(row.size for row in done) >= 20000
    assert not records.directory("down").exists()
    assert not records.channels("down").agent.parent.exists()
    assert records.channels("up").agent.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from vcr.atomic import new_directory, scratch_directory
with scratch_directory() as scratch, new_directory(Path(sys.argv[2])) as new:
    (scratch / "file").write_text("x")
    (new / "file").write_text("x")
    print(scratch, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_scratch_of_a_killed_vcr_goes_and_that_of_a_live_one_stays(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = tmp_path / "out"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, REPO, target],
        env={"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    left = Path(killed.stdout.strip())
    assert left.name.startswith(SCRATCH)
    assert left.exists()
    assert len(list(tmp_path.glob(".out.*"))) == 1
    with scratch_directory() as live:
        assert leftovers(Records(settings))["scratch"] == {left.name}
        assert live.exists()
    with new_directory(target) as first:  # what was left of the killed one is gone
        assert list(tmp_path.glob(".out.*")) == [first]
    assert list(tmp_path.glob(".out.*")) == []


def test_where_a_killed_nix_has_built_goes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ("nix-build-vcr-image-x.drv-0", "nix-build-vcr-rootfs-x.drv-0", "nix-build-gcc.drv-0")
    for name in names:
        (tmp_path / name).mkdir()
    assert leftovers(Records(settings)) == {}  # they are just being made
    for name in names:
        os.utime(tmp_path / name, (1, 1))
    # Another build of the same name, elsewhere, is at work.
    (tmp_path / "elsewhere" / names[0]).mkdir(parents=True)
    (tmp_path / "build").mkdir()
    with mounted(tmp_path / "elsewhere" / names[0], tmp_path / "build"):
        assert leftovers(Records(settings))["scratch"] == {names[0], names[1]}
    with mounted(tmp_path / names[1], tmp_path / "build"):
        assert leftovers(Records(settings))["scratch"] == {names[0]}


@contextmanager
def mounted(directory: Path, where: Path) -> Iterator[None]:
    """A process that sees DIRECTORY at WHERE, as the sandbox of a build does."""
    script = 'mount --bind "$1" "$2" && echo there && read line'
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    with subprocess.Popen(
        [*argv, directory, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        yield
        child.communicate("\n")


def test_a_half_written_file_goes_after_a_while(settings: Settings) -> None:
    half, new = (settings.cache_dir / f".plan.json.{name}" for name in ("abcdefgh", "ijklmnop"))
    whole = settings.cache_dir / ".plan.json"
    half.parent.mkdir(parents=True)
    for path in (half, new, whole):
        path.touch()
        if path != new:
            os.utime(path, (1, 1))
    assert leftovers(Records(settings))["scratch"] == {half.name}


def test_a_lock_is_not_held_on_a_file_that_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with flocked(path) as is_held:
        assert is_held
        path.unlink()
        with flocked(path) as again:
            assert again
            with flocked(path) as third:
                assert not third


def test_the_command_line(settings: Settings, tmp_path: Path) -> None:
    app = App(settings, Ui(out=io.StringIO(), err=io.StringIO()), tmp_path)
    assert run(app, ["prune", "--older-than", "soon"]) == 2
    assert isinstance(app.ui.err, io.StringIO)
    assert "--older-than soon is wrong" in app.ui.err.getvalue()
