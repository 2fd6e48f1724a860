"""From a Dockerfile to a plan: stages, variables, config, layers, health."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vcr.errors import LockError, UsageError
from vcr.lock.bases import BaseLocker
from vcr.lock.engine import current_engine
from vcr.lock.inputs import wanted_inputs
from vcr.lock.known import Known
from vcr.lock.read import load_lock
from vcr.lock.write import Locker, summarise
from vcr.model.arch import Arch
from vcr.model.health import CommandProbe, HttpProbe
from vcr.model.lockfile import (
    Lock,
    LockedDebian,
    LockedFile,
    LockedImage,
    LockedManifest,
    LockedPackage,
)
from vcr.model.plan import Additions, Copy, Debs, Plan, Run, Workdir
from vcr.model.project import load_project
from vcr.model.source import StageSource, UrlSource
from vcr.planner.project import make_plan

DIGEST = "sha256:" + "a" * 64
EPOCH = 1767225600  # of the snapshot 20260101T000000Z
TOML = '[base.deb]\npackages = ["a1"]\n[base.img]\nimage = "example.org/img"\n'

type Planner = Callable[..., Plan]


def package(arch: Arch) -> LockedPackage:
    name = f"a_{arch}.deb"
    return LockedPackage(
        name=name, package="a1", sha256="0" * 64, size=1, url=f"https://x/{name}", version="1"
    )


def make_lock(project: Any) -> Lock:
    config = {"Env": ["PATH=/bin", "X=base"], "Cmd": ["old"], "OnBuild": ["ENV Y=onbuild"]}
    wanted = wanted_inputs(project)
    return Lock(
        epoch=EPOCH,
        inputs=dict(wanted.digests()),
        bases={
            "deb": LockedDebian(
                suite="trixie",
                snapshot="20260101T000000Z",
                archs={arch: (package(arch),) for arch in Arch},
            ),
            "img": LockedImage(
                reference=f"docker://example.org/img@{DIGEST}",
                archs={
                    Arch.RISCV64: LockedManifest(manifest=DIGEST, config=config, blobs={DIGEST: 1})
                },
            ),
        },
        urls={u: LockedFile(name="f", sha256="1" * 64, size=5, url=u) for u in wanted.files},
        engine=current_engine(project),
    )


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    (tmp_path / "app.py").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x").write_text("")

    def run(dockerfile: str, toml: str = "", *, own: str = TOML, **options: Any) -> Plan:
        (tmp_path / "Dockerfile").write_text(dockerfile)
        (tmp_path / "vcr.toml").write_text(toml + own)
        project = load_project(tmp_path)
        arch = options.pop("arch", Arch.RISCV64)
        return make_plan(project, make_lock(project), arch=arch, profile="vm", **options)

    return run


def config(plan: Plan) -> dict[str, Any]:
    return plan.image.config


def test_scratch_has_a_path_and_nothing_else(plan: Planner) -> None:
    made = plan("FROM scratch\n")
    assert made.layers == {}
    assert list(config(made)) == ["Env"]


def test_a_debian_base_is_a_layer_of_the_target_architecture(plan: Planner) -> None:
    for arch in Arch:
        made = plan("FROM deb\n", arch=arch)
        base = made.layers["base.deb"]
        assert isinstance(base, Debs)
        assert base.debs[0].name == f"a_{arch}.deb"


def test_what_a_base_adds_is_a_layer_over_its_packages(plan: Planner) -> None:
    toml = f'{TOML.partition("[base.img]")[0]}files."/etc/x" = "y"\nusers = {{ app = 1000 }}\n'
    made = plan("FROM deb\nWORKDIR /w\n", own=toml)
    assert made.image.layers == ("base.deb", "base.deb.additions", "0.1.workdir")
    additions = made.layers["base.deb.additions"]
    assert isinstance(additions, Additions)
    assert (additions.files, additions.users) == ({"/etc/x": "y"}, {"app": 1000})
    assert additions.lower == ("base.deb",)
    assert made.titles["base.deb.additions"] == "FROM deb, its additions"


def test_an_image_base_gives_its_config_and_its_triggers(plan: Planner) -> None:
    made = plan("FROM img\nENV X=${X}2\n")
    assert config(made)["Env"] == ["PATH=/bin", "X=base2", "Y=onbuild"]
    assert config(made)["Cmd"] == ["old"]
    assert "OnBuild" not in config(made)


SETTINGS = """env = { LANG = "C.UTF-8", PATH = "/go/bin:/bin" }
entrypoint = ["init"]
cmd = ["serve", "-v"]
workdir = "/go/src"
user = "www-data"
ports = [80]
stop_signal = "SIGQUIT"
"""


def test_a_base_of_packages_begins_with_the_config_of_vcr_toml(plan: Planner) -> None:
    toml = TOML.replace('["a1"]\n', f'["a1"]\n{SETTINGS}')
    made = plan("FROM docker.io/library/deb\nENV P=$LANG\nRUN go\n", own=toml)
    assert config(made) == {
        "Env": ["LANG=C.UTF-8", "PATH=/go/bin:/bin", "P=C.UTF-8"],
        "Entrypoint": ["init"],
        "Cmd": ["serve", "-v"],
        "WorkingDir": "/go/src",
        "User": "www-data",
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
    }
    workdir, run = list(made.layers.values())[1:]
    assert isinstance(workdir, Workdir)
    assert (workdir.path, workdir.owner) == ("/go/src", "")
    assert isinstance(run, Run)
    assert set(run.env) >= {"LANG=C.UTF-8", "PATH=/go/bin:/bin", "P=C.UTF-8"}
    assert (run.user, run.workdir) == ("www-data", "/go/src")
    assert config(plan('FROM deb\nENTRYPOINT ["x"]\nCMD ["y"]\n', own=toml))["Cmd"] == ["y"]


def test_the_config_of_a_base_is_no_part_of_the_lock(plan: Planner, tmp_path: Path) -> None:
    before = plan("FROM deb\n")
    lock = make_lock(load_project(tmp_path))
    after = plan("FROM deb\n", own=TOML.replace('["a1"]\n', f'["a1"]\n{SETTINGS}'))
    assert make_lock(load_project(tmp_path)) == lock
    assert after.layers["base.deb"] == before.layers["base.deb"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ('env = { "A=B" = "1" }', "'A=B' is not the name of a variable"),
        ('workdir = "app"', "'app' is not an absolute path"),
        ('stop_signal = "SIGFOO"', "'SIGFOO' is not a signal"),
        ('env = { A = "a\\u0000b" }', "has a NUL"),
        ('cmd = ["a\\u0000b"]', "has a NUL"),
        ('user = "a\\u0000b"', "has a NUL"),
        ("ports = [0]", "ports"),
        ('image = "x"', "give exactly one of"),
    ],
)
def test_a_wrong_config_of_a_base_is_refused(plan: Planner, key: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan("FROM deb\n", own=TOML.replace('["a1"]\n', f'["a1"]\n{key}\n'))
    assert message in f"{caught.value.what} {caught.value.why}"


def test_an_image_has_a_config_of_its_own(plan: Planner) -> None:
    with pytest.raises(UsageError) as caught:
        plan("FROM img\n", own=f'{TOML}env = {{ A = "1" }}\n')
    assert "env is for packages" in f"{caught.value.what} {caught.value.why}"


def test_entrypoint_drops_an_inherited_command_only(plan: Planner) -> None:
    assert "Cmd" not in config(plan('FROM img\nENTRYPOINT ["x"]\n'))
    assert config(plan('FROM img\nCMD ["a"]\nENTRYPOINT ["x"]\n'))["Cmd"] == ["a"]


def test_shell_form_uses_the_shell(plan: Planner) -> None:
    made = plan('FROM deb\nCMD echo a\nSHELL ["/bin/bash", "-c"]\nENTRYPOINT echo b\n')
    assert config(made)["Entrypoint"] == ["/bin/bash", "-c", "echo b"]
    assert config(plan("FROM deb\nCMD echo a\n"))["Cmd"] == ["/bin/sh", "-c", "echo a"]


def test_the_rest_of_the_config(plan: Planner) -> None:
    made = plan(
        "FROM deb\n"
        'LABEL a="b c" d=e\nUSER app:app\nEXPOSE 80 53/udp 8000-8001\nVOLUME /a /b\n'
        'VOLUME ["/c d"]\nSTOPSIGNAL SIGINT\nWORKDIR /x\nWORKDIR y\nMAINTAINER me\n'
    )
    assert config(made)["Labels"] == {"a": "b c", "d": "e"}
    assert made.image.author == "me"
    assert config(made)["User"] == "app:app"
    assert set(config(made)["ExposedPorts"]) == {"80/tcp", "53/udp", "8000/tcp", "8001/tcp"}
    assert set(config(made)["Volumes"]) == {"/a", "/b", "/c d"}
    assert config(made)["StopSignal"] == "SIGINT"
    assert config(made)["WorkingDir"] == "/x/y"
    assert made.machine.ports == (80, 8000, 8001)


def test_args_have_their_scope(plan: Planner) -> None:
    dockerfile = (
        "ARG BASE=deb\nARG V=1\nFROM $BASE\nARG V\nARG W=w$V\nENV V2=$V W2=$W U=$TARGETARCH\n"
        "ARG TARGETARCH\nENV T=$TARGETARCH\n"
    )
    env = config(plan(dockerfile))["Env"][1:]
    assert env == ["V2=1", "W2=w1", "U=", "T=riscv64"]
    env = config(plan(dockerfile, '[args]\nV = "9"\n'))["Env"][1:]
    assert env[:2] == ["V2=9", "W2=w9"]


def test_env_wins_over_arg(plan: Planner) -> None:
    assert "B=env" in config(plan("FROM deb\nARG A=arg\nENV A=env\nENV B=$A\n"))["Env"]


def test_the_epoch_is_an_arg(plan: Planner) -> None:
    made = plan("FROM deb\nARG SOURCE_DATE_EPOCH\nENV E=$SOURCE_DATE_EPOCH\n")
    assert f"E={EPOCH}" in config(made)["Env"]


def test_an_unused_arg_is_a_typo(plan: Planner) -> None:
    with pytest.raises(UsageError) as caught:
        plan("FROM deb\nARG VERSION\n", '[args]\nVERSON = "1"\n')
    assert caught.value.fix == "did you mean VERSION?"


def test_only_what_the_target_needs_is_planned(plan: Planner) -> None:
    dockerfile = (
        "FROM deb AS one\nCOPY app.py /a\nFROM img AS two\nRUN x\n"
        "FROM scratch AS three\nCOPY --from=one /a /b\n"
    )
    made = plan(dockerfile)
    assert list(made.layers) == ["base.deb", "one.1.copy", "three.1.copy"]
    copy = made.layers["three.1.copy"]
    assert isinstance(copy, Copy)
    assert copy.sources == (StageSource("/a", ("base.deb", "one.1.copy")),)
    assert list(plan(dockerfile, target="one").layers) == ["base.deb", "one.1.copy"]
    with pytest.raises(UsageError, match="there is no stage 'four'"):
        plan(dockerfile, target="four")


def test_a_stage_builds_on_an_earlier_one(plan: Planner) -> None:
    made = plan("FROM deb AS a\nENV X=1\nWORKDIR /w\nFROM a\nCOPY app.py .\n")
    assert made.image.layers == ("base.deb", "a.2.workdir", "1.1.copy")
    assert "X=1" in config(made)["Env"]


def test_copy_is_planned_with_its_files(plan: Planner) -> None:
    made = plan("FROM deb\nWORKDIR /w\nCOPY --chown=1:2 --chmod=755 app.py data ./d/\n")
    copy = made.layers["0.2.copy"]
    assert isinstance(copy, Copy)
    assert copy.dest == "/w/d/"
    assert [s.files for s in copy.sources if s.kind == "context"] == [
        ("app.py",),
        ("data", "data/x"),
    ]
    assert (copy.chown, copy.chmod, copy.origin) == ("1:2", "755", "Dockerfile:3")
    assert isinstance(made.layers["0.1.workdir"], Workdir)


def test_urls_are_closed_by_checksum_or_lock(plan: Planner) -> None:
    digest = "b" * 64
    made = plan(
        f"FROM deb\nADD --checksum=sha256:{digest} https://h/d/one.bin?x=1 /a/\n"
        "ADD https://h/two /b\n"
    )
    one, two = (made.layers[f"0.{n}.copy"] for n in (1, 2))
    assert isinstance(one, Copy)
    assert isinstance(two, Copy)
    assert isinstance(one.sources[0], UrlSource)
    assert (one.sources[0].name, one.sources[0].file.sha256) == ("one.bin", digest)
    assert isinstance(two.sources[0], UrlSource)
    assert two.sources[0].file.sha256 == "1" * 64


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ADD http://h/a|b /", "Dockerfile:2:5: http://h/a|b is not an address"),
        (f"ADD --checksum=sha256:{'0' * 64} http://h/\x1b /", "Dockerfile:2:88: "),
        (f"ADD --checksum=sha256:{'G' * 64} http://h/a /", "is not a digest"),
        (f"ADD --checksum=sha256:{'0' * 64} http://h/.. /", "does not name a file"),
        ("ADD http://h /d/", "does not name a file"),
        ('ADD ["http://h/a\\n|npm:x:y", "/f"]', "Dockerfile:2:1: "),
    ],
)  # fmt: skip
def test_what_is_no_address_is_named_with_its_line(plan: Planner, line: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        plan(f"FROM deb\n{line}\n")
    assert words in error.value.what


def test_an_address_in_the_exec_form_is_locked(plan: Planner) -> None:
    copy = plan('FROM deb\nADD ["https://h/two", "/b"]\n').layers["0.1.copy"]
    assert isinstance(copy, Copy)
    assert isinstance(copy.sources[0], UrlSource)


def test_heredocs_become_files_with_variables_expanded(plan: Planner) -> None:
    made = plan("FROM deb\nENV A=1\nCOPY <<x <<'y' /d/\n$A\nx\n$A\ny\n")
    copy = made.layers["0.2.copy"]
    assert isinstance(copy, Copy)
    assert [(s.name, s.content) for s in copy.sources if s.kind == "inline"] == [
        ("x", "1\n"),
        ("y", "$A\n"),
    ]


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("RUN a b", ("/bin/sh", "-c", "a b")),
        ('RUN ["a", "b"]', ("a", "b")),
        ("RUN <<EOF\na\nb\nEOF", ("/bin/sh", "-c", "a\nb\n")),
        ("RUN cat <<EOF\na\nEOF", ("/bin/sh", "-c", "cat <<EOF\na\nEOF\n")),
    ],
)
def test_run_is_planned(plan: Planner, line: str, argv: tuple[str, ...]) -> None:
    made = plan(f"FROM deb\nARG A=1\nENV B=2\nUSER me\nWORKDIR /w\n{line}\n")
    run = made.layers["0.5.run"]
    assert isinstance(run, Run)
    assert run.argv == argv
    assert {"A=1", "B=2"} <= set(run.env)
    assert (run.user, run.workdir) == ("me", "/w")


def test_health_of_the_dockerfile_and_of_vcr_toml(plan: Planner) -> None:
    check = plan("FROM deb\nHEALTHCHECK --interval=5s --retries=2 CMD a b\n").machine.health
    assert check is not None
    assert check.probe == CommandProbe(("/bin/sh", "-c", "a b"))
    assert (check.interval, check.timeout, check.retries) == (5.0, 30.0, 2)
    assert plan("FROM deb\nHEALTHCHECK NONE\n").machine.health is None
    http = plan("FROM deb\nEXPOSE 80\nHEALTHCHECK CMD a\n", '[health]\nhttp = "/h"\n')
    assert http.machine.health is not None
    assert http.machine.health.probe == HttpProbe(80, "/h")
    with pytest.raises(UsageError, match="http needs a port"):
        plan("FROM deb\n", '[health]\nhttp = "/h"\n')


@pytest.mark.parametrize(
    ("flags", "toml", "seconds"),
    [
        ("", "", None),
        ("--start-period=9s --start-interval=2s", "", 2.0),
        ("--start-interval=0s", "", None),  # as Docker
        ("--start-interval=2s", '[health]\ncommand = ["a"]\nstart_interval = "3s"\n', 3.0),
        ("--start-interval=2s", '[health]\ncommand = ["a"]\n', None),
    ],
)
def test_a_start_interval_is_known_only_if_it_is_given(
    plan: Planner, flags: str, toml: str, seconds: float | None
) -> None:
    made = plan(f"FROM deb\nHEALTHCHECK {flags} CMD a\n", toml)
    assert made.machine.health is not None
    assert made.machine.health.start_interval == seconds


def test_the_kernel_is_chosen_in_vcr_toml(plan: Planner) -> None:
    assert plan("FROM deb\n").machine.kernel == "vcr"
    assert plan("FROM deb\n", '[machine]\nkernel = "debian"\n').machine.kernel == "debian"
    with pytest.raises(UsageError, match=r"vcr\.toml:2: machine\.kernel is wrong"):
        plan("FROM deb\n", '[machine]\nkernel = "mine"\n')


def test_the_platform_of_the_last_stage_is_the_target(plan: Planner) -> None:
    """So that it is the same plan for who builds again, and knows only what the image is for."""
    text = (
        "FROM deb AS tools\nFROM --platform=linux/amd64 deb\nARG TARGETARCH\n"
        "COPY --from=tools /bin/sh /bin/$TARGETARCH\nENV IS=$TARGETARCH\n"
    )
    asked, again = plan(text), plan(text, arch=Arch.AMD64)
    assert asked == again
    assert "IS=amd64" in asked.image.config["Env"]
    assert {layer.arch for layer in asked.layers.values() if isinstance(layer, Debs)} == {"amd64"}


def test_a_platform_that_the_image_lacks_is_said(plan: Planner) -> None:
    assert plan("FROM --platform=linux/amd64 deb\n").arch is Arch.AMD64
    with pytest.raises(UsageError, match="img has no image for amd64"):
        plan("FROM --platform=linux/amd64 img\n")
    with pytest.raises(UsageError, match="--platform=windows/amd64 is not supported"):
        plan("FROM --platform=windows/amd64 deb\n")


def test_packages_that_an_architecture_lacks_are_said(plan: Planner, tmp_path: Path) -> None:
    plan("FROM deb\n")
    project = load_project(tmp_path)
    lock = make_lock(project)
    some = {"deb": lock.bases["deb"].model_copy(update={"archs": {Arch.AMD64: ()}})}
    with pytest.raises(UsageError, match="the base deb is not there for riscv64") as caught:
        make_plan(project, lock.model_copy(update={"bases": some}), arch=Arch.RISCV64, profile="vm")
    assert caught.value.why == "trixie has all of its packages only for amd64"


def test_the_plan_is_json_and_the_same_every_time(plan: Planner) -> None:
    text = plan("FROM deb\nCOPY . /x\n").to_json()
    assert text == plan("FROM deb\nCOPY . /x\n").to_json()
    assert json.loads(text)["schema"] == 1


# --- the lock


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (2.0, "2"),
        (0.5, "0.5"),
        (0.1 + 0.2, "0.3"),
        (12.3456789, "12.3457"),
        (1234567.5, "1234570"),
    ],
)
def test_a_time_is_a_number_that_every_nix_writes_alike(
    plan: Planner, seconds: float, written: str
) -> None:
    """Up to 2.8 builtins.toJSON has no ".0" and six digits; later ones have both."""
    made = plan("FROM deb\nHEALTHCHECK CMD true\n")
    assert made.machine.health is not None
    health = replace(made.machine.health, interval=seconds)
    text = replace(made, machine=replace(made.machine, health=health)).to_json()
    assert f'"interval":{written},' in text


def test_a_stale_lock_names_what_changed(tmp_path: Path, plan: Planner) -> None:
    plan("FROM deb\nADD https://h/x /\n")
    project = load_project(tmp_path)
    project.lock_file.write_text(make_lock(project).to_text())
    load_lock(project)
    (tmp_path / "vcr.toml").write_text('[base.deb]\npackages = ["b2"]\n[base.new]\noci = "x"\n')
    (tmp_path / "Dockerfile").write_text("FROM deb\n")
    with pytest.raises(LockError) as caught:
        load_lock(load_project(tmp_path))
    assert caught.value.what == (
        "vcr.lock is out of date: ADD https://h/x is gone, [base.deb] changed, "
        "[base.img] is gone, [base.new] is new"
    )


def test_locking_again_keeps_what_did_not_change(tmp_path: Path, plan: Planner) -> None:
    plan("FROM deb\n")
    project = load_project(tmp_path)
    lock = make_lock(project)

    def never() -> Any:
        raise AssertionError("nothing has to be resolved")

    known = Known(tmp_path / "known")
    for name, base in wanted_inputs(project).bases.items():
        known.add(base, lock.bases[name])
    locker = Locker(BaseLocker(never, never, print), known, print, print, never)
    again = locker.lock(project, lock)
    assert again.bases == lock.bases
    assert again.to_text() == locker.lock(project, again).to_text()
    assert summarise(lock, again) == []
    assert summarise(None, lock) == ["+ deb: a1 1"]


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"schema": 2}'])
def test_a_lock_that_is_none_is_refused(tmp_path: Path, plan: Planner, text: str) -> None:
    plan("FROM deb\n")
    project = load_project(tmp_path)
    project.lock_file.write_text(text)
    with pytest.raises(LockError, match=r"vcr\.lock cannot be read"):
        load_lock(project)
