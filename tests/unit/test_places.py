"""What a project names leads nowhere out of it, unless the command line allows it."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vcr.build.builder import Builder
from vcr.build.services import _bind, check_apart
from vcr.cli import run
from vcr.cli.context import App
from vcr.dockerfile.ignore import load_ignore
from vcr.dockerfile.inputs import load_dockerfile
from vcr.errors import ExitCode, LockError, UsageError
from vcr.lock.engine import current_engine, own_emulator, own_kernel
from vcr.lock.oci import ImageStore, reference_of
from vcr.model.lockfile import Lock
from vcr.model.places import ANYWHERE, places_of
from vcr.model.plan import OciBase
from vcr.model.project import Project, load_project
from vcr.settings import Settings
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo
from vcr.ui import Ui
from vcr.verify.rebuild import source_of


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project beside a directory that is none of its business."""
    outside, root = tmp_path / "outside", tmp_path / "project"
    (outside / "layout").mkdir(parents=True)
    root.mkdir()
    (root / "Dockerfile").write_text("FROM scratch\n")
    secret = outside / "secret"
    secret.write_text("FROM secret\n")
    secret.chmod(0o600)
    (outside / "layout/oci-layout").write_text("{}")
    return root


def link(at: Path, target: str | Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(target)


def toml(key: str, value: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        where = value.replace("OUTSIDE", str(root.parent / "outside"))
        (root / "vcr.toml").write_text(f'[project]\n{key} = "{where}"\n')

    return write


def through_link(root: Path) -> None:
    link(root / "sub/elsewhere", root.parent)
    (root / "vcr.toml").write_text('[project]\ncontext = "sub/elsewhere/outside"\n')


def linked(name: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        link(root / name, root.parent / "outside/secret")

    return make


WAYS_OUT = {
    "context-up": toml("context", "../outside"),
    "context-absolute": toml("context", "OUTSIDE"),
    "context-up-and-down": toml("context", "./x/../../outside"),
    "context-parent": toml("context", ".."),
    "context-root": toml("context", "/"),
    "context-through-a-link": through_link,
    "dockerfile-up": toml("dockerfile", "../outside/secret"),
    "dockerfile-absolute": toml("dockerfile", "OUTSIDE/secret"),
    "dockerfile-is-a-link": linked("Dockerfile"),
    "vcr.toml-is-a-link": linked("vcr.toml"),
    "vcr.lock-is-a-link": linked("vcr.lock"),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_leads_out_of_a_project(project: Path, way: str) -> None:
    WAYS_OUT[way](project)
    with pytest.raises(UsageError, match="leads out of the project") as caught:
        load_project(project)
    assert "--allow-outside" in caught.value.fix


def test_the_file_of_0600_outside_does_not_get_into_a_build(project: Path) -> None:
    """The attack that was found: COPY of a context that was not the project's."""
    (project / "vcr.toml").write_text('[project]\ncontext = "../outside"\n')
    (project / "Dockerfile").write_text("FROM scratch\nCOPY secret /\n")
    (project / "vcr.lock").write_text("{}")
    err = io.StringIO()
    app = App(Settings.load({"HOME": str(project)}), Ui(io.StringIO(), err), project)
    for verb in ("build", "lock", "inspect", "up", "run", "graph", "export"):
        assert run(app, [verb, *(["prod", "out"] if verb == "export" else [])]) == ExitCode.USAGE
        assert "[project] context: ../outside leads out of the project" in err.getvalue()
        err.truncate(0)


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_what_says_what_is_ignored_is_of_the_project(project: Path, name: str) -> None:
    linked(name)(project)
    with pytest.raises(UsageError, match="leads out of the project"):
        load_ignore(load_project(project).ignore_file)


def test_engine_files_are_of_the_project(project: Path) -> None:
    named = '[engine.cartesi]\nemulator = "../outside/secret"\nkernel = "../outside/secret"\n'
    (project / "vcr.toml").write_text(named)
    for own in (own_emulator, own_kernel):
        with pytest.raises(UsageError, match="leads out of the project"):
            own(load_project(project))


def base(project: Path, oci: str) -> str:
    (project / "vcr.toml").write_text(f'[base.x]\noci = "{oci}"\n')
    loaded = load_project(project)
    return reference_of(loaded, loaded.config.base["x"])


def test_a_layout_is_of_the_project_whole(project: Path) -> None:
    with pytest.raises(UsageError, match="leads out of the project"):
        base(project, "../outside/layout")
    layout = project / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text("{}")
    assert base(project, "layout") == f"oci:{layout}"
    link(layout / "blobs/sha256/00", project.parent / "outside/secret")
    with pytest.raises(UsageError, match="leads out of the project"):
        base(project, "layout")
    (layout / "blobs/sha256/00").unlink()
    os.mkfifo(layout / "blobs/sha256/00")
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        base(project, "layout")


@pytest.mark.parametrize(
    ("reference", "error", "words"),
    [
        ("oci:/etc", UsageError, "leads out of the project"),
        ("oci:../outside/layout", UsageError, "leads out of the project"),
        ("dir:/etc", LockError, "is not an image"),
        ("docker-archive:/dev/zero", LockError, "is not an image"),
        ("containers-storage:x", LockError, "is not an image"),
        ("", LockError, "is not an image"),
    ],
)
def test_a_lock_names_no_layout_outside(
    project: Path, reference: str, error: type[Exception], words: str
) -> None:
    store = ImageStore(Skopeo(Path("/bin/false")), Nix(Settings.load({})))
    digest = f"sha256:{'0' * 64}"
    with pytest.raises(error, match=words):
        store.provide(OciBase(reference, {digest: 1}, {}, digest, {}), places_of(project))


def test_what_a_service_is_shown_is_of_the_project(project: Path) -> None:
    loaded = load_project(project)
    for volume in ("../outside:/data", f"{project.parent}/outside:/data", "./a/../..:/data"):
        with pytest.raises(UsageError, match="leads out of the project"):
            _bind(loaded, project / "volumes", volume)
    (project / "data").mkdir()
    assert _bind(loaded, project / "volumes", "./data:/data").source == project / "data"


@pytest.mark.parametrize("shown", ["./", "./.git", "./.git/hooks", "./sub", "./way"])
def test_no_service_writes_what_git_runs(project: Path, shown: str) -> None:
    """What it writes to .git of the checkout, git runs on this host, whenever it is asked."""
    (project / ".git/hooks").mkdir(parents=True)
    (project / "sub/module").mkdir(parents=True)
    (project / "sub/module/.git").write_text("gitdir: ../../.git/modules/module\n")
    link(project / "way", ".git/hooks")
    loaded, named = load_project(project), project / "volumes"
    with pytest.raises(UsageError, match=r"could write to \.git"):
        _bind(loaded, named, f"{shown}:/x")
    assert _bind(loaded, named, f"{shown}:/x:ro").read_only
    allowed = load_project(project, outside=(project,))
    assert not _bind(allowed, named, f"{shown}:/x").read_only


@pytest.mark.parametrize(
    ("first", "second", "context", "is_apart"),
    [
        ("./vol", "./vol/sub", "app", False),
        ("./vol/sub:ro", "./vol", "app", False),
        ("./vol", "./vol/sub/deep:ro", "app", False),
        ("./vol", "data", "vol/sub", False),
        ("./vol:ro", "./vol/sub", "app", True),
        ("./vol", "./vol", "app", True),
        ("./vol/sub", "./vol/other", "app", True),
        ("./vol", "./volume", "app", True),
        ("data", "./vol", "vol", True),
    ],
)
def test_no_service_moves_what_the_next_one_is_shown(
    project: Path, first: str, second: str, context: str, is_apart: bool
) -> None:
    """A link in place of a directory, made before that is mounted: /root/.ssh for the next one."""
    for name in ("vol/sub/deep", "vol/other", "volume", "app"):
        (project / name).mkdir(parents=True)
    loaded = load_project(project)
    forms = [
        text.replace(":ro", "") + ":/x" + ":ro" * text.endswith(":ro") for text in (first, second)
    ]
    binds = [_bind(loaded, project / "named", form) for form in forms]
    if is_apart:
        check_apart(binds, loaded.root / context)
        return
    with pytest.raises(UsageError, match="to which a service writes"):
        check_apart(binds, loaded.root / context)


@pytest.mark.parametrize("verb", ["up", "run"])
def test_an_emulator_of_a_project_does_not_run_on_this_host(
    project: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was built in a sandbox, and then loaded by a process of the user's, outside of any."""
    (project / "vcr.toml").write_text(
        '[machine]\nengine = "cartesi"\n[engine.cartesi]\nemulator = "own.deb"\n'
    )
    (project / "own.deb").write_text("of a stranger")
    (project / "Dockerfile").write_text("FROM scratch\nCOPY own.deb /\n")
    engine = current_engine(load_project(project))
    lock = Lock(epoch=0, inputs={}, bases={}, urls={}, engine=engine)
    (project / "vcr.lock").write_text(lock.to_text())

    def build(*_: object) -> None:
        raise UsageError("it goes on")

    monkeypatch.setattr(Builder, "build", build)
    would, goes_on = "would run on this host", "it goes on"
    for outside, words in (((), would), ((project / "own.deb",), goes_on)):
        err = io.StringIO()
        settings = Settings.load({"HOME": str(project)})
        app = App(settings, Ui(io.StringIO(), err), project, outside=outside)
        run(app, [verb, "--profile", "prod"])
        assert words in err.getvalue()


def test_the_command_line_allows_what_it_names(project: Path) -> None:
    (project / "vcr.toml").write_text('[project]\ncontext = "../outside"\n')
    outside = project.parent / "outside"
    for allowed in (outside, project.parent, project / "../outside"):
        assert load_project(project, outside=(allowed,)).context == outside
    for other in (outside / "layout", project / "x"):
        with pytest.raises(UsageError, match="leads out"):
            load_project(project, outside=(other,))


def test_the_option_is_taken_before_and_after_the_verb(project: Path) -> None:
    (project / "vcr.toml").write_text('[project]\ncontext = "../outside"\n')
    option = ["--allow-outside", str(project.parent / "outside")]
    for argv in ([*option, "inspect", "--config"], ["inspect", "--config", *option]):
        app = App(Settings.load({}), Ui(io.StringIO(), io.StringIO()), project)
        assert run(app, argv) == ExitCode.OK


def test_no_key_of_the_project_allows_it(project: Path) -> None:
    (project / "vcr.toml").write_text('[project]\nallow-outside = ["/"]\ncontext = ".."\n')
    with pytest.raises(UsageError, match="unknown key"):
        load_project(project)


def test_what_is_up_is_found_without_it(project: Path) -> None:
    (project / "vcr.toml").write_text('[project]\ncontext = "../outside"\n')
    settings = Settings.load({"HOME": str(project)})
    err = io.StringIO()
    assert run(App(settings, Ui(io.StringIO(), err), project), ["down"]) == ExitCode.OK
    assert "nothing is up" in err.getvalue()
    assert (
        load_project(project, outside=ANYWHERE).key
        == load_project(project, outside=(project.parent,)).key
    )


def test_links_inside_the_project_are_followed_once(project: Path) -> None:
    """What is used later is where they led when they were checked."""
    (project / "real").mkdir()
    (project / "real/.dockerignore").write_text("x\n")
    link(project / "docker/Dockerfile", "../Dockerfile")
    link(project / "link", "real")
    named = '[project]\ncontext = "link"\ndockerfile = "docker/Dockerfile"\n'
    (project / "vcr.toml").write_text(named)
    (project / "docker/Dockerfile.dockerignore").write_text("y\n")
    loaded = load_project(project)
    assert loaded.context == project / "real"
    assert loaded.dockerfile == project / "Dockerfile"
    assert loaded.ignore_file == project / "docker/Dockerfile.dockerignore"  # beside its name


def source(project: Path, named: str) -> Project:
    class Fake:
        def checkout(self, _url: str, _revision: str) -> "Fake":
            return self

        def __enter__(self) -> Path:
            return project

        def __exit__(self, *_: object) -> None:
            pass

    with source_of(Fake, Path(named), "https://x", None) as directory:  # type: ignore[arg-type]
        return load_project(directory)


def test_of_a_repository_no_directory_leads_out(project: Path) -> None:
    assert source(project, ".").root == project
    link(project / "app", project.parent / "outside")
    for named in ("app", "../outside", "/etc"):
        with pytest.raises(UsageError, match=r"leads out|outside the repository"):
            source(project, named)


def test_a_source_of_somebody_else_is_allowed_nothing(project: Path) -> None:
    err = io.StringIO()
    app = App(Settings.load({"HOME": str(project)}), Ui(io.StringIO(), err), project)
    ladder = project / "ladder.json"
    ladder.write_text(
        '{"schema": 1, "kind": "build", "name": "x", "profile": "vm", "arch": "riscv64",'
        ' "engine": "qemu", "engine_version": "", "epoch": 0, "ladder": []}'
    )
    argv = ["verify", str(ladder), "--git", "https://x.invalid/y", "--allow-outside", "/"]
    assert run(app, argv) == ExitCode.USAGE
    assert "--allow-outside does not go with --git" in err.getvalue()


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "d/" * 3000, "Dockerfile/x", "loop"])
def test_names_that_are_none_are_told(project: Path, name: str) -> None:
    link(project / "loop", "loop")
    for key in ("dockerfile", "context"):
        text = name.replace("\0", "\\u0000")
        (project / "vcr.toml").write_text(f'[project]\n{key} = "{text}"\n')
        with pytest.raises(UsageError):
            load_dockerfile(load_project(project))
