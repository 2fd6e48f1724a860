"""What people write because BuildKit takes it, and what it refuses: one test a kind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_mounts import lock, runs

from vcr.dockerfile.ignore import Ignore
from vcr.dockerfile.inputs import external_inputs, resolver_of
from vcr.errors import UsageError
from vcr.lock.inputs import wanted_inputs
from vcr.model.arch import Arch
from vcr.model.plan import Copy, Debs, Plan, Run
from vcr.model.project import load_project
from vcr.model.source import InlineSource, StageSource, UrlSource
from vcr.planner.platform import check_platform, target_arch
from vcr.planner.project import make_plan


def planned(root: Path, text: str, toml: str = "") -> Plan:
    (root / "Dockerfile").write_text(text)
    (root / "vcr.toml").write_text(toml)
    return make_plan(load_project(root), lock(), arch=Arch.RISCV64, profile="vm")


def config(root: Path, text: str) -> dict[str, Any]:
    return planned(root, f"FROM scratch\n{text}\n").image.config


def refused(root: Path, text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        planned(root, f"FROM scratch\n{text}\n")
    assert caught.value.what.startswith("Dockerfile:2:")
    return caught.value


def test_a_stage_inherits_the_args_of_the_one_it_starts_from(tmp_path: Path) -> None:
    """`COPY f ${DIR}/f` wrote /f without a word."""
    (tmp_path / "f").touch()
    text = "FROM base AS one\nARG DIR=/opt/app\nFROM one\nCOPY f ${DIR}/f\nRUN x\n"
    layers = list(planned(tmp_path, text).layers.values())
    (copy,) = (layer for layer in layers if isinstance(layer, Copy))
    (run,) = (layer for layer in layers if isinstance(layer, Run))
    assert copy.dest == "/opt/app/f"
    assert "DIR=/opt/app" in run.env


def test_an_arg_after_an_env_of_its_name_wins_but_not_in_the_image(tmp_path: Path) -> None:
    text = "FROM base\nENV X=1\nARG X=2\nLABEL l=$X\nRUN x\nENV X=3\nLABEL m=$X\n"
    made = planned(tmp_path, text)
    assert made.image.config["Labels"] == {"l": "2", "m": "3"}
    (run,) = (layer for layer in made.layers.values() if isinstance(layer, Run))
    assert "X=2" in run.env
    assert "X=3" in made.image.config["Env"]


def test_a_copy_of_a_wildcard_that_matches_nothing_copies_the_rest(tmp_path: Path) -> None:
    (tmp_path / "package.json").touch()
    made = planned(tmp_path, "FROM scratch\nCOPY package.json yarn.lock* ./\n")
    (copy,) = made.layers.values()
    assert isinstance(copy, Copy)
    assert len(copy.sources) == 1


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("8080:8080", ["8080/tcp"]),
        ("127.0.0.1:80:8080/udp", ["8080/udp"]),
        ("80/", ["80/tcp"]),
        ("80/TCP 81-82/udp", ["80/tcp", "81/udp", "82/udp"]),
    ],
)
def test_ports_may_have_what_is_for_the_host(tmp_path: Path, text: str, ports: list[str]) -> None:
    assert sorted(config(tmp_path, f"EXPOSE {text}")["ExposedPorts"]) == ports


@pytest.mark.parametrize("name", ["SIGTERM", "kill", "9", "SIGRTMIN+3", "rtmax-14", "SIGRTMAX"])
def test_signals_by_name_and_number(tmp_path: Path, name: str) -> None:
    assert config(tmp_path, f"STOPSIGNAL {name}")["StopSignal"] == name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("STOPSIGNAL SIGFOO", "is not a signal"),
        ("STOPSIGNAL 0", "is not a signal"),
        ("STOPSIGNAL SIGRTMIN+16", "is not a signal"),
        ("HEALTHCHECK CMD []", "needs a command"),
        ("HEALTHCHECK --interval=100ns CMD x", "is less than 1ms"),
        ("VOLUME []", "needs a path"),
        ("RUN --security=insecure x", "--security=insecure is not supported"),
        ("RUN --device=nvidia.com/gpu x", "--device is not supported"),
        ("RUN --mount=type=cache,target=/a,sharing=bad x", "sharing=bad is not supported"),
        ("RUN --mount=target=/a,rw=maybe x", "rw=maybe is neither true nor false"),
        ("RUN --mount=target=/a,from=$X x", "has a variable"),
        ('COPY "a b" /x/', "is not closed"),
        ('CMD ["a", ["b"]]', "something that is not a string"),
    ],
)
def test_what_buildkit_refuses_is_refused_with_its_line(
    tmp_path: Path, line: str, words: str
) -> None:
    assert words in refused(tmp_path, line).what


def test_an_exclamation_mark_alone_is_no_pattern() -> None:
    with pytest.raises(UsageError, match=r"\.dockerignore:2: nothing follows the !"):
        Ignore.parse("a\n!\n")


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("**.pem", "key.pem", True),
        ("**.pem", "a/b/key.pem", True),
        ("**.pem", "a/pem", False),
        ("**key", "a/monkey", True),
        ("**/key", "a/monkey", False),
        ("a**", "abc/d", True),
        ("**k*y", "a/monkey", False),  # another star, and BuildKit wants a slash
    ],
)
def test_two_stars_without_a_slash(pattern: str, path: str, ignored: bool) -> None:
    """`**.pem` matched nothing, so that keys came into images."""
    assert Ignore.parse(pattern).ignores(path) is ignored


def test_a_here_document_loses_the_backslashes_that_escape(tmp_path: Path) -> None:
    body = "a\\tb C:\\dir \\$X $X '"
    text = f"FROM scratch\nENV X=1\nCOPY <<EOF <<'RAW' /d/\n{body}\nEOF\n{body}\nRAW\n"
    (copy,) = planned(tmp_path, text).layers.values()
    assert isinstance(copy, Copy)
    first, second = copy.sources
    assert isinstance(first, InlineSource)
    assert isinstance(second, InlineSource)
    assert first.content == "atb C:dir $X 1 '\n"
    assert second.content == f"{body}\n"


def test_an_escape_at_the_end_of_a_word_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (copy,) = planned(tmp_path, "FROM scratch\nCOPY f\\ /d/\n").layers.values()
    assert isinstance(copy, Copy)
    assert [source.path for source in copy.sources] == ["f"]  # type: ignore[union-attr]


def test_the_last_of_two_stages_of_one_name_counts(tmp_path: Path) -> None:
    text = "FROM scratch AS a\nENV N=1\nFROM scratch AS A\nENV N=2\nFROM a\n"
    assert "N=2" in planned(tmp_path, text).image.config["Env"]


def test_args_may_have_any_name(tmp_path: Path) -> None:
    assert "A=1" in config(tmp_path, "ARG my-arg.x=1\nARG q=1\nENV A=$q")["Env"]


def test_a_trigger_may_have_a_here_document(tmp_path: Path) -> None:
    text = "FROM scratch AS a\nONBUILD COPY <<EOF /x\nhello\nEOF\nFROM a\n"
    (copy,) = planned(tmp_path, text).layers.values()
    assert isinstance(copy, Copy)
    assert copy.sources == (InlineSource("EOF", "hello\n"),)


def test_an_empty_from_of_a_mount_is_the_context(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (run,) = runs(tmp_path, "RUN --mount=type=bind,from=,source=f,target=/f true")
    assert run.mounts[0].path == "/f"


def test_only_what_the_target_reaches_is_locked(tmp_path: Path) -> None:
    """Five apps of twenty had a stage for tests, whose image nobody has for riscv64."""
    (tmp_path / "Dockerfile").write_text(
        "FROM tests AS tests\nADD https://example.com/x /\nFROM one AS one\n"
        "ONBUILD COPY --from=two / /\nFROM two AS two\nFROM three AS three\n"
        "FROM one\nCOPY --from=three / /\nRUN --mount=from=four,target=/m x\n"
    )
    found = external_inputs(load_project(tmp_path))
    assert list(found.images) == ["four", "one", "three", "two"]
    assert found.files == {}
    (tmp_path / "vcr.toml").write_text('[project]\ntarget = "tests"\n')
    found = external_inputs(load_project(tmp_path))
    assert (list(found.images), found.files) == (["tests"], {"https://example.com/x": ()})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x/y/a.txt", ["x/y/a.txt"]),
        ("x/./y/a.txt", ["y/a.txt"]),
        ("./x/./y", ["y"]),
        ("**/a.txt", ["x/y/a.txt", "x/z/a.txt"]),
        ("x/*/./a.txt", ["a.txt", "a.txt"]),
        (".", [""]),
    ],
)
def test_parents_are_kept_behind_the_pivot(tmp_path: Path, text: str, kept: list[str]) -> None:
    root = tmp_path / "root"
    for name in ("y", "z"):
        (root / "x" / name).mkdir(parents=True)
        (root / "x" / name / "a.txt").touch()
    (copy,) = planned(root, f"FROM scratch\nCOPY --parents {text} /d/\n").layers.values()
    assert isinstance(copy, Copy)
    assert [source.kept for source in copy.sources] == kept  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "extract"),
    [("ADD x.tar /", True), ("ADD --unpack=false x.tar /", False), ("COPY x.tar /", False)],
)
def test_archives_are_unpacked_as_the_flag_says(tmp_path: Path, line: str, extract: bool) -> None:
    (tmp_path / "x.tar").touch()
    (copy,) = planned(tmp_path, f"FROM scratch\n{line}\n").layers.values()
    assert isinstance(copy, Copy)
    assert copy.extract is extract


def test_a_checksum_is_expanded_and_is_for_addresses(tmp_path: Path) -> None:
    digits = "0" * 64
    line = f"ARG SUM={digits}\nADD --checksum=sha256:${{SUM}} --unpack https://e.x/f /\n"
    (copy,) = planned(tmp_path, f"FROM scratch\n{line}").layers.values()
    assert isinstance(copy, Copy)
    (source,) = copy.sources
    assert isinstance(source, UrlSource)
    assert (source.file.sha256, source.unpack) == (digits, True)
    (tmp_path / "f").touch()
    assert "is for addresses" in refused(tmp_path, f"ADD --checksum=sha256:{digits} f /").what


def test_the_target_stage_is_an_argument(tmp_path: Path) -> None:
    text = "FROM scratch AS a\nARG TARGETSTAGE\nLABEL s=$TARGETSTAGE\nFROM a"
    assert planned(tmp_path, f"{text} AS b\n").image.config["Labels"] == {"s": "b"}
    assert planned(tmp_path, f"{text}\n").image.config["Labels"] == {"s": "default"}
    toml = '[project]\ntarget = "a"\n'
    assert planned(tmp_path, f"{text}\n", toml).image.config["Labels"] == {"s": "a"}


@pytest.mark.parametrize("context", [".", "sub"])
def test_files_of_vcr_are_in_an_image_only_when_they_are_named(
    tmp_path: Path, context: str
) -> None:
    """Each lock changed the context, so that the RUN behind `COPY . .` was never what it was."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "vcr.lock").touch()
    (tmp_path / "sub/vcr.lock").touch()
    toml = f'[project]\ncontext = "{context}"\n'
    for line, found in {
        "COPY . /d/": {".": ["Dockerfile", "sub", "sub/vcr.lock"], "sub": ["vcr.lock"]},
        "COPY vcr.* /d/": {".": [], "sub": ["vcr.lock"]},
        "COPY vcr.lock /d/": {".": ["vcr.lock"], "sub": ["vcr.lock"]},
    }.items():
        (copy,) = planned(tmp_path, f"FROM scratch\n{line}\n", toml).layers.values()
        assert isinstance(copy, Copy)
        files = [file for source in copy.sources for file in source.files]  # type: ignore[union-attr]
        assert files == found[context]


def test_a_command_may_be_bare(tmp_path: Path) -> None:
    made = config(tmp_path, "CMD\nENTRYPOINT")
    assert made["Cmd"] == made["Entrypoint"] == ["/bin/sh", "-c", ""]
    (run,) = runs(tmp_path, "RUN")
    assert run.argv == ("/bin/sh", "-c", "")


def test_an_address_is_locked_as_it_is_planned(tmp_path: Path) -> None:
    """An ARG after an ENV of its name wins in the next stage, too."""
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch AS a\nENV V=1\nARG V=2\nFROM a\nADD https://example.com/$V /f\n"
    )
    assert external_inputs(load_project(tmp_path)).files == {"https://example.com/2": ()}


def test_a_checksum_that_nix_does_not_know_is_locked_and_compared(tmp_path: Path) -> None:
    """BuildKit takes sha512; builds know files by SHA-256, which only the lock can say."""
    digest = f"sha512:{'0' * 128}"
    text = f"FROM scratch\nARG SUM={digest}\nADD --checksum=$SUM https://e.x/f /\n"
    (tmp_path / "Dockerfile").write_text(text)
    assert external_inputs(load_project(tmp_path)).files == {"https://e.x/f": (digest,)}
    file = {"name": "f", "sha256": "1" * 64, "size": 1, "url": "https://e.x/f"}
    locked = lock(urls={"https://e.x/f": file})
    made = make_plan(load_project(tmp_path), locked, arch=Arch.RISCV64, profile="vm")
    (copy,) = made.layers.values()
    assert isinstance(copy, Copy)
    (source,) = copy.sources
    assert isinstance(source, UrlSource)
    assert (source.checksum, source.file.sha256) == (digest, "1" * 64)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"ADD --checksum=sha512:{'0' * 64} https://e.x/f /", "is not a digest"),
        (f"ADD --checksum=md5:{'0' * 32} https://e.x/f /", "is not a digest"),
        (f"ADD --checksum=sha256:{'0' * 64} https://e.x/f https://e.x/g /", "for one source"),
        (f"ADD --checksum=sha256:{'0' * 64} https://e.x/r.git /", "cannot take the git"),
        ("ADD git@host:r.git /", "cannot take the git"),
        ("ADD https://e.x/r.git#main /", "is not locked"),
    ],
)
def test_what_add_cannot_take_from_elsewhere(tmp_path: Path, line: str, words: str) -> None:
    assert words in refused(tmp_path, line).what


def test_a_lock_with_another_checksum_is_stale(tmp_path: Path) -> None:
    def digests(line: str) -> dict[str, Any]:
        (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{line}\n")
        return wanted_inputs(load_project(tmp_path)).digests()

    found = [
        digests(line)
        for line in (
            "ADD https://e.x/f /",
            f"ADD --checksum=sha512:{'0' * 128} https://e.x/f /",
            f"ADD --checksum=sha512:{'1' * 128} https://e.x/f /",
        )
    ]
    assert len({str(each) for each in found}) == 3
    repository = {str(digests(f"ADD https://e.x/r.git{each} /")) for each in ("#a", "?ref=a")}
    assert len(repository) == 1, "another way to write the same"


def two_platforms(root: Path, text: str, arch: Arch = Arch.RISCV64, toml: str = "") -> Plan:
    (root / "Dockerfile").write_text(text)
    (root / "vcr.toml").write_text(toml)
    return make_plan(load_project(root), lock(), arch=arch, profile="vm")


@pytest.mark.parametrize("arch", list(Arch))
def test_the_build_platform_is_the_same_for_every_target(tmp_path: Path, arch: Arch) -> None:
    """It was the target's, and in a stage of another platform TARGETARCH was that stage's."""
    text = (
        "FROM --platform=$BUILDPLATFORM base AS build\n"
        "ARG BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT TARGETPLATFORM TARGETARCH\nRUN x\n"
        "FROM build AS more\nRUN y\nFROM base\nCOPY --from=more / /\nRUN z\n"
    )
    made = two_platforms(tmp_path, text, arch)
    steps = [layer for layer in made.layers.values() if isinstance(layer, Run)]
    assert [step.arch for step in steps] == [Arch.AMD64, Arch.AMD64, arch]
    assert made.arch == arch
    assert set(steps[0].env) >= {
        "BUILDPLATFORM=linux/amd64", "BUILDOS=linux", "BUILDARCH=amd64", "BUILDVARIANT=",
        f"TARGETPLATFORM=linux/{arch}", f"TARGETARCH={arch}",
    }  # fmt: skip
    bases = [layer for layer in made.layers.values() if isinstance(layer, Debs)]
    assert {base.arch for base in bases} == {Arch.AMD64, arch}


def test_a_project_may_choose_its_build_platform(tmp_path: Path) -> None:
    text = "FROM --platform=$BUILDPLATFORM base\nARG BUILDARCH\nLABEL a=$BUILDARCH\nRUN x\n"
    made = two_platforms(tmp_path, text, toml='[build]\nplatform = "linux/arm64"\n')
    assert made.image.config["Labels"] == {"a": "arm64"}
    assert made.arch == Arch.ARM64


@pytest.mark.parametrize("start", ["", "AS a\nFROM a"])
def test_a_machine_is_not_of_the_build_platform(tmp_path: Path, start: str) -> None:
    """No machine of linux/amd64 can be sealed; one that boots is of its image's platform."""
    text = f"# one\nFROM --platform=$BUILDPLATFORM base {start}\n"
    made = two_platforms(tmp_path, text)
    project = load_project(tmp_path)
    check_platform(project, made, ("image",))
    check_platform(project, replace(made, profile="dev"), ("image", "container"))
    check_platform(project, made, ("image", "rootfs"))
    with pytest.raises(UsageError) as caught:
        check_platform(project, replace(made, profile="prod"), ("image", "rootfs"))
    assert caught.value.what.startswith("Dockerfile:2:1: the image is for linux/amd64, because")
    assert "--platform=$TARGETPLATFORM" in caught.value.fix
    made = two_platforms(tmp_path, "FROM --platform=$TARGETPLATFORM base\n")
    check_platform(load_project(tmp_path), made, ("image", "rootfs"))


def test_files_of_an_image_are_the_target_s_in_a_stage_of_any_platform(tmp_path: Path) -> None:
    text = "FROM --platform=linux/arm64 base AS b\nCOPY --from=base / /t/\nFROM base\n"
    made = two_platforms(tmp_path, text + "COPY --from=b / /\n")
    first = next(layer for layer in made.layers.values() if isinstance(layer, Copy))
    (source,) = first.sources
    assert isinstance(source, StageSource)
    assert source.layers == ("base.base",)


def test_a_platform_of_the_last_stage_is_the_target(tmp_path: Path) -> None:
    """Also for the answers to a RUN: who builds again knows only what the image is for."""
    text = "FROM --platform=$BUILDPLATFORM base AS b\nARG TARGETARCH\nRUN x\nFROM b\n"
    (run,) = (
        layer for layer in two_platforms(tmp_path, text).layers.values() if isinstance(layer, Run)
    )
    assert "TARGETARCH=amd64" in run.env
    answer = {"url": "http://h/", "sha256": "1" * 64}
    locked = lock(
        runs={"amd64": {run.key: {"command": "RUN x", "exchanges": [answer]}}},
        bodies={"1" * 64: {"name": "b", "size": 1, "url": "http://h/"}},
    )
    project = load_project(tmp_path)
    asked, again = (
        make_plan(project, locked, arch=arch, profile="vm") for arch in (Arch.RISCV64, Arch.AMD64)
    )
    assert asked == again
    (run,) = (layer for layer in asked.layers.values() if isinstance(layer, Run))
    assert len(run.exchanges) == 1
    assert target_arch(project, Arch.RISCV64) is Arch.AMD64
    assert resolver_of(project, Arch.RISCV64, "b").for_image().arch is Arch.AMD64


@pytest.mark.parametrize("owner", ["nobody", "1:staff", "root:staff"])
def test_names_do_not_go_with_link(tmp_path: Path, owner: str) -> None:
    (tmp_path / "f").touch()
    assert "--link does not go with" in refused(tmp_path, f"COPY --link --chown={owner} f /").what
    for given in ("root", "root:0", "7", "7:8"):
        assert planned(tmp_path, f"FROM scratch\nCOPY --link --chown={given} f /\n").layers
