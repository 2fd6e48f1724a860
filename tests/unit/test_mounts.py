"""RUN --mount and what else a RUN is planned as."""

import json
from pathlib import Path

import pytest

from vcr.build.lock_runs import check_runs
from vcr.errors import LockError, UsageError
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedBody, LockedDebian, LockedExchange, LockedRun
from vcr.model.plan import Run
from vcr.model.project import load_project
from vcr.planner.project import make_plan

DEBIAN = LockedDebian(suite="s", snapshot="20260101T000000Z", archs=dict.fromkeys(Arch, ()))


def lock(**more: object) -> Lock:
    return Lock.model_validate(
        {"schema": 1, "epoch": 7, "inputs": {}, "bases": {"base": DEBIAN}, "urls": {}, **more}
    )


def runs(root: Path, dockerfile: str, locked: Lock | None = None, toml: str = "") -> list[Run]:
    (root / "Dockerfile").write_text(f"FROM base AS first\nFROM base\n{dockerfile}\n")
    (root / "vcr.toml").write_text(toml)
    plan = make_plan(load_project(root), locked or lock(), arch=Arch.RISCV64, profile="vm")
    assert json.loads(plan.to_json())["layers"]
    return [layer for layer in plan.layers.values() if isinstance(layer, Run)]


def test_mounts_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (run,) = runs(
        tmp_path,
        "RUN --mount=type=bind,from=first,src=/etc,dst=/a --mount=target=/b,rw "
        "--mount=type=bind,source=given,target=c,ro=false "
        "--mount=type=cache,target=/d,mode=0700,uid=1 --mount=type=tmpfs,target=/e,size=2k "
        "--mount=type=secret,id=x true",
    )
    told = [(m.kind, m.target, m.path, m.writable) for m in run.mounts]
    assert told == [
        ("bind", "/a", "/etc", False),
        ("bind", "/b", "/", True),
        ("bind", "/c", "/given", False),
        ("cache", "/d", "/", True),
        ("tmpfs", "/e", "/", False),
        ("secret", "/run/secrets/x", "/", False),
    ]
    assert (run.mounts[3].mode, run.mounts[3].uid, run.mounts[4].size) == (0o700, 1, 2048)
    assert run.mounts[5].content.startswith("vcr-secret-")


def test_without_a_target_a_mount_is_at_the_working_directory(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, "WORKDIR /src\nRUN --mount=type=bind --mount=type=cache,id=a,rw true")
    assert [(m.kind, m.target) for m in run.mounts] == [("bind", "/src"), ("cache", "/src")]


def test_types_and_sharing_are_read_in_any_case(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, "RUN --mount=type=Cache,target=/a,sharing=LOCKED true")
    assert [m.kind for m in run.mounts] == ["cache"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("64m", 64 << 20), ("64MiB", 64 << 20), ("1.5g", 3 << 29), ("2kb", 2048), ("1.9", 1)],
)
def test_sizes_are_as_in_docker(tmp_path: Path, text: str, size: int) -> None:
    (run,) = runs(tmp_path, f"RUN --mount=type=tmpfs,target=/a,size={text} true")
    assert run.mounts[0].size == size


def test_a_secret_may_be_named_by_its_source(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, "RUN --mount=type=secret,source=token,target=/t true")
    (same,) = runs(tmp_path, "RUN --mount=type=secret,id=token,target=/t true")
    assert run.mounts == same.mounts
    with pytest.raises(UsageError, match="id and source"):
        runs(tmp_path, "RUN --mount=type=secret,source=a,id=b true")


def test_a_secret_may_be_a_variable(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, "RUN --mount=type=secret,id=x,env=TOKEN true")
    assert run.mounts == ()
    assert any(entry.startswith("TOKEN=vcr-secret-") for entry in run.env)


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ("type=ssh", "type=ssh is not supported"),
        ("type=tmpfs,target=/,size=1", "cannot cover the root"),
        ("type=tmpfs", "cannot cover the root"),
        ("type=tmpfs,target=/a,size=big", "big is not a size"),
        ("type=cache,target=/a,mod=1", "no option mod"),
        ("type=cache,target=/a,mode=9", "mode=9 is not a number"),
        ("target", "target has no value"),
        ("type=bind,target=/a,z", "type=bind has no option z"),
        ("type=Tmpfs,target=/a,tmpcopyup", "type=tmpfs has no option tmpcopyup"),
        ("type=bind,source=../x,target=/a", "outside the build context"),
    ],
)
def test_wrong_mounts(tmp_path: Path, mount: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        runs(tmp_path, f"RUN --mount={mount} true")


def test_networks(tmp_path: Path) -> None:
    assert [r.network for r in runs(tmp_path, "RUN --network=none a\nRUN b")] == ["none", "default"]
    with pytest.raises(UsageError, match="--network=host is not supported"):
        runs(tmp_path, "RUN --network=host true")


def test_a_pure_cache_goes_on(tmp_path: Path) -> None:
    line = "RUN --mount=type=cache,id=/x,target=/c true\n"
    plain = runs(tmp_path, line * 2)
    assert [m.carry for run in plain for m in run.mounts] == ["", ""]
    first, second = runs(tmp_path, line * 2, toml='[build]\npure_caches = ["/x"]\n')
    assert (first.mounts[0].carry, first.mounts[0].carried_from) == ("x", "")
    assert second.mounts[0].carried_from == "1.1.run"


def test_scripts_and_the_environment(tmp_path: Path) -> None:
    first, second = runs(
        tmp_path,
        "ARG A=1\nENV B=2\nRUN <<EOF\n#!/x\nhi\nEOF\nRUN --network=none <<EOF\nhi\nEOF",
    )
    assert (first.argv, first.script) == (("/dev/pipes/EOF",), "#!/x\nhi\n")
    assert (second.argv, second.script) == (("/bin/sh", "-c", "hi\n"), "")
    assert {"A=1", "B=2", "SOURCE_DATE_EPOCH=7"} <= set(first.env)


def test_a_run_gets_what_is_locked_for_it(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, "RUN fetch")
    sha256 = "0" * 64
    exchange = LockedExchange(url="http://x/", sha256=sha256)
    locked = lock(
        runs={Arch.RISCV64: {run.key: LockedRun(command="RUN fetch", exchanges=(exchange,))}},
        bodies={sha256: LockedBody(name="x", size=3, data="aaaa")},
    )
    (again,) = runs(tmp_path, "RUN fetch", locked)
    assert again.key == run.key
    assert [(e.method, e.url, e.status, e.size) for e in again.exchanges] == [
        ("GET", "http://x/", 200, 3)
    ]
    assert [(f.name, f.data) for f in again.bodies] == [("x", "aaaa")]
    check_runs(load_project(tmp_path), locked)
    (other,) = runs(tmp_path, "RUN other", locked)
    assert other.exchanges == ()
    with pytest.raises(LockError) as error:
        check_runs(load_project(tmp_path), locked)
    assert error.value.why == "RUN fetch changed since it was locked"


def test_a_lock_is_the_same_after_reading(tmp_path: Path) -> None:
    sha256 = "1" * 64
    exchange = LockedExchange(url="http://x/", sha256=sha256, status=302, headers={"location": "y"})
    entry = {sha256: LockedRun(command="c", exchanges=(exchange,))}
    one = lock(
        runs={Arch.AMD64: entry}, bodies={sha256: LockedBody(name="x", size=0, url="http://x/u")}
    )
    assert Lock.model_validate_json(one.to_text()) == one
    assert '"method"' not in one.to_text(), "what is as by default is left out"
