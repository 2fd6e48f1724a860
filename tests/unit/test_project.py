"""vcr.toml: what is accepted, and errors that help."""

import os
import time
from pathlib import Path

import pytest

from vcr.dockerfile.inputs import load_dockerfile
from vcr.errors import UsageError
from vcr.model.duration import parse_duration
from vcr.model.project import load_project


def make(root: Path, toml: str | None = None) -> Path:
    root.mkdir(exist_ok=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    if toml is not None:
        (root / "vcr.toml").write_text(toml)
    return root


def mistake(root: Path, toml: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load_project(make(root, toml))
    return caught.value


def test_a_bare_dockerfile_is_a_project(tmp_path: Path) -> None:
    project = load_project(make(tmp_path / "My App_1"))
    assert project.name == "my-app-1"
    assert project.config.machine.memory == 512
    assert project.key.startswith("my-app-1-")


def test_two_checkouts_have_different_keys(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = load_project(make(tmp_path / "a" / "app"))
    second = load_project(make(tmp_path / "b" / "app"))
    assert first.name == second.name
    assert first.key != second.key


def test_every_section_is_read(tmp_path: Path) -> None:
    project = load_project(
        make(
            tmp_path,
            """
            [project]
            name = "x"
            [args]
            A = "1"
            [base.py]
            packages = ["python3"]
            snapshot = "20261122T000000Z"
            [machine]
            memory = "1 GiB"
            ports = [80, 8080, "53/udp"]
            [health]
            command = ["true"]
            interval = "1m30s"
            """,
        )
    )
    assert project.name == "x"
    assert project.config.args == {"A": "1"}
    assert project.config.base["py"].packages == ("python3",)
    assert project.config.machine.memory == 1024
    assert project.config.machine.ports == (80, 8080, "53/udp")
    assert project.config.health.interval == 90.0


@pytest.mark.parametrize(
    ("toml", "what", "fix"),
    [
        ("[projct]\n", "vcr.toml:1: unknown key 'projct'", "did you mean 'project'?"),
        ("[machine]\n\nmemry = 1\n", "vcr.toml:3: unknown key 'machine.memry'", "'memory'?"),
        ("[base.x]\npackage = []\n", "vcr.toml:2: unknown key 'base.x.package'", "'packages'?"),
        ("zzz = 1\n", "vcr.toml:1: unknown key 'zzz'", "known keys: args, attest, base"),
    ],
)
def test_an_unknown_key_names_line_and_nearest(
    tmp_path: Path, toml: str, what: str, fix: str
) -> None:
    error = mistake(tmp_path, toml)
    assert error.what == what
    assert fix in error.fix


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ('[project]\nname = "Big"\n', "'Big' is not a lower-case image name"),
        ('[machine]\nmemory = "lots"\n', "'lots' is not an amount of memory"),
        ('[health]\ninterval = "5 apples"\n', "is not a duration such as 5s"),
        ('[health]\nhttp = "x"\n', "http is a path"),
        ('[health]\nhttp = "/"\ncommand = ["x"]\n', "either http or command"),
        ("[base.x]\n", "exactly one of packages, image and oci"),
        ('[base.x]\npackages = ["a1"]\nimage = "b"\n', "exactly one of packages, image and oci"),
        ('[base.x]\npackages = ["../x"]\n', "is not the name of a Debian package"),
        ('[base.x]\npackages = ["a1"]\nsnapshot = "now"\n', "is not a time such as"),
        ("[machine]\nports = [0]\n", "0 is not a port, 1 to 65535"),
        ('[machine]\nports = ["80"]\n', "'80' is not a port, 1 to 65535, or one such as 53/udp"),
        ('[machine]\nports = ["0/udp"]\n', "'0/udp' is not a port"),
        ('[machine]\nports = ["53/sctp"]\n', "'53/sctp' is not a port"),
        ('[machine]\nwritable = "no"\n', "it has to be true or false"),
        ('[machine]\nengine = "kvm"\n', "it has to be 'qemu' or 'cartesi'"),
        ("build = 1\n", "it has to be a table"),
        ('[base.x]\npackages = ["a1"]\ncmd = "sh"\n', "it has to be a list in brackets"),
        ('[base.x]\npackages = ["a1"]\nenv = { A = 1 }\n', "it has to be a text in quotes"),
        ("[machine\n", ""),
    ],
)
def test_a_wrong_value_says_why(tmp_path: Path, toml: str, why: str) -> None:
    error = mistake(tmp_path, toml)
    assert why in error.why
    assert error.what.startswith("vcr.toml")


@pytest.mark.parametrize("signal", ["SIGQUIT", "quit", "15", "SIGRTMIN+3"])
def test_a_base_has_any_signal_of_stopsignal(tmp_path: Path, signal: str) -> None:
    base = f'[base.x]\npackages = ["a1"]\nstop_signal = "{signal}"\n'
    assert load_project(make(tmp_path, base)).config.base["x"].stop_signal == signal
    error = mistake(tmp_path, base.replace(signal, "SIGNOPE"))
    assert error.why == "'SIGNOPE' is not a signal such as SIGQUIT"


def test_the_name_of_a_variable_that_is_wrong(tmp_path: Path) -> None:
    error = mistake(tmp_path, '[base.x]\npackages = ["a1"]\nenv = { "A B" = "" }\n')
    assert error.what == "vcr.toml:3: base.x.env.A B is wrong"
    assert error.why == "'A B' is not the name of a variable"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a directory"):
        load_project(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="there is no Dockerfile"):
        load_project(tmp_path)


def test_a_dockerfile_may_be_called_in_lower_case(tmp_path: Path) -> None:
    (tmp_path / "dockerfile").write_text("FROM scratch\nCOPPY a b\n")
    project = load_project(tmp_path)
    assert project.dockerfile == tmp_path / "dockerfile"
    assert "dockerfile" not in project.config.project.model_fields_set
    with pytest.raises(UsageError, match=r"^dockerfile:2:1: "):
        load_dockerfile(project)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert load_project(tmp_path).dockerfile == tmp_path / "Dockerfile"
    (tmp_path / "Dockerfile").unlink()
    (tmp_path / "vcr.toml").write_text('[project]\ndockerfile = "Dockerfile"\n')
    with pytest.raises(UsageError, match="there is no Dockerfile"):
        load_project(tmp_path)


@pytest.mark.parametrize(
    ("files", "fix"),
    [
        (("Dockerfile.web", "Dockerfile.db"), '[project] dockerfile = "Dockerfile.db"'),
        (("app.dockerfile", ".dockerignore"), '[project] dockerfile = "app.dockerfile"'),
        (("Containerfile",), '[project] dockerfile = "Containerfile"'),
        (("Dockerfile.dockerignore", "web/Dockerfile", "api/Dockerfile"), "name api, web"),
        (("build/Dockerfile", "app.py"), 'vcr.toml: [project] dockerfile = "build/Dockerfile"'),
        (("a/b/Dockerfile",), "`vcr create"),
    ],
)
def test_a_dockerfile_that_is_elsewhere_is_named(
    tmp_path: Path, files: tuple[str, ...], fix: str
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("FROM scratch\n")
    with pytest.raises(UsageError, match="there is no Dockerfile") as caught:
        load_project(tmp_path)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("0", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5x"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("a = " + "[" * 100_000, "nested too deep"),
        ("a = " + "{a=" * 100_000, "nested too deep"),
        ("a" + ".a" * 400_000 + " = 1\n", "a key of more than 32 parts"),
        ("\n[" + '"a".' * 200_000 + "a]\n", "line 2: a key of more than 32 parts"),
        ("[machine]\nmemory = " + "9" * 5000 + "\n", "not valid TOML"),
        ("[machine]\nmemory = " + "9" * 4000 + "\n", "memory"),
        ('[machine]\nmemory = "' + "9" * 4000 + ' GiB"\n', "is not an amount of memory"),
        ('[machine]\nmemory = "9999999 GiB"\n', "at most 1048576"),
        ("[machine]\nports = [" + "9" * 4000 + "]\n", "machine.ports"),
        ("[machine]\ncpus = -" + "9" * 4000 + "\n", "machine.cpus"),
        ("[health]\ninterval = inf\n", "health.interval"),
        ("[health]\ntimeout = nan\n", "health.timeout"),
        ("[health]\ntimeout = 1e400\n", "health.timeout"),
        ('[health]\ntimeout = "' + "9" * 400 + 'h"\n', "is not a duration"),
        ("[health]\nretries = " + "9" * 4000 + "\n", "health.retries"),
        ('[project]\nname = "' + "a" * 129 + '"\n', "at most 128 char"),
        ('[project]\ncontext = "a\\u0000b"\n', "project.context has a NUL"),
        ('[args]\n"a\\u0000" = "b"\n', "has a NUL"),
        ('[health]\ncommand = ["a", "\\u0000"]\n', "health.command has a NUL"),
        ("#" * (1 << 21), "it has more than 1048576 bytes"),
        ("a = '\udcff'\n", "cannot read"),
        ("a = 0000-00-00\n", "not valid TOML"),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_no_vcr_toml_takes_long_or_ends_vcr(tmp_path: Path, toml: str, words: str) -> None:
    make(tmp_path)
    (tmp_path / "vcr.toml").write_bytes(toml.encode(errors="surrogateescape"))
    begin = time.process_time()
    with pytest.raises(UsageError) as caught:
        load_project(tmp_path)
    assert words in f"{caught.value.what} {caught.value.why}"
    assert time.process_time() - begin < 5


def test_a_long_value_of_dots_is_no_key(tmp_path: Path) -> None:
    text = ".".join(["1"] * 31)
    assert load_project(make(tmp_path, f'[args]\na = "{text}"\n')).config.args == {"a": text}


@pytest.mark.parametrize("kind", ["fifo", "directory", "unreadable"])
def test_a_vcr_toml_that_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path) / "vcr.toml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("vcr.toml")  # a loop
    with pytest.raises(UsageError, match="cannot read"):
        load_project(tmp_path)


def test_a_directory_of_any_name_is_a_project_or_is_told(tmp_path: Path) -> None:
    project = load_project(make(tmp_path / ("A1" * 120)))
    assert len(project.name) == 128
    with pytest.raises(UsageError, match="is not UTF-8"):
        load_project(make(tmp_path / "caf\udce9"))
    with pytest.raises(UsageError, match="is not a directory"):
        load_project(tmp_path / ("x" * 5000))


@pytest.mark.parametrize("text", ["9" * 400 + "h", "1e400s", "٣s", "inf", "nan", "87601h"])
def test_durations_end(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)
