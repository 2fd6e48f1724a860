"""Readers of what a project holds: Dockerfile, .dockerignore, vcr.toml, vcr.lock, and its words."""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from fuzz.target import MAX_INPUT, Target
from vcr.dockerfile import config as instructions
from vcr.dockerfile import ignore, mounts, stages, syntax, text, words
from vcr.dockerfile.ignore import Ignore
from vcr.dockerfile.inputs import external_inputs
from vcr.dockerfile.syntax import FLAGS
from vcr.dockerfile.words import Expander, split_words
from vcr.errors import VcrError
from vcr.export.nbd import parse_address
from vcr.export.reference import Reference
from vcr.formats.match import compile_pattern
from vcr.lock.engine import current_engine
from vcr.lock.inputs import wanted_inputs
from vcr.lock.read import differences
from vcr.model import config, lockfile, url
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.duration import parse_duration
from vcr.model.lockfile import (
    Lock,
    LockedDebian,
    LockedFile,
    LockedImage,
    LockedManifest,
    LockedPackage,
    LockedRepository,
    read_lock_file,
)
from vcr.model.project import Project, load_project
from vcr.planner.project import make_plan

REPOSITORY = Path(__file__).resolve().parents[2]
BASES = '[base.deb]\npackages = ["a1"]\n[base.img]\nimage = "example.org/img"\n'
IMAGE = {
    "Env": ["PATH=/bin", "X=base"],
    "Cmd": ["old"],
    "OnBuild": ["ENV Y=onbuild", "COPY app.py /z", "RUN y"],
    "User": "app",
    "WorkingDir": "/srv",
    "Volumes": {"/v": {}},
    "ExposedPorts": {"80/tcp": {}},
    "Labels": {"a": "b"},
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000},
}


def _examples(pattern: str) -> Iterator[bytes]:
    """Yield the files of this name that are no larger than an input may be."""
    for top in ("examples", "tests/dockerfiles"):
        for path in sorted((REPOSITORY / top).rglob(pattern)):
            if path.is_file() and path.stat().st_size <= MAX_INPUT:
                yield path.read_bytes()


def _project(directory: Path, dockerfile: bytes, toml: bytes) -> Project:
    """Make a project in DIRECTORY, in which there is a little to copy."""
    if not (directory / "data/x").exists():
        (directory / "data").mkdir(exist_ok=True)
        for name in ("app.py", "data/x", "data/y.txt"):
            (directory / name).write_text("x", encoding="utf-8")
        (directory / "l").symlink_to("data/x")
    (directory / "Dockerfile").write_bytes(dockerfile)
    (directory / "vcr.toml").write_bytes(toml)
    return load_project(directory)


def _lock(project: Project) -> Lock:
    wanted = wanted_inputs(project)
    a1 = LockedPackage(
        name="a.deb", package="a1", sha256="0" * 64, size=1, url="https://x/a.deb", version="1"
    )
    digest = "sha256:" + "a" * 64
    manifest = LockedManifest(manifest=digest, config=IMAGE, blobs={digest: 1})
    return Lock(
        epoch=1000,
        inputs=dict(wanted.digests()),
        bases={
            "deb": LockedDebian(
                suite="trixie", snapshot="20260101T000000Z", archs=dict.fromkeys(Arch, (a1,))
            ),
            "img": LockedImage(
                reference="docker://img",
                archs=dict.fromkeys(Arch, manifest),
            ),
        },
        urls={u: LockedFile(name="f", sha256="1" * 64, size=5, url=u) for u in wanted.files},
        repositories={
            each.text: LockedRepository(
                remote=each.remote, commit="1" * 40, nar_sha256="sha256-" + "A" * 43 + "="
            )
            for each in wanted.repositories
        },
        engine=current_engine(project),
    )


def read_dockerfile(data: bytes, directory: Path) -> None:
    """Parse it, look for what it takes from elsewhere, and plan all of it."""
    project = _project(directory, data, BASES.encode())
    with suppress(VcrError):
        external_inputs(project)
    make_plan(project, _lock(project), arch=Arch.RISCV64, profile="vm")


def _dockerfiles() -> Iterator[bytes]:
    yield from _examples("Dockerfile*")
    yield b"FROM scratch\nADD --keep-git-dir https://x.example/r.git?tag=v1&checksum=ab#:s /g\n"
    yield (
        b"FROM scratch\nCOPY app.py data /x/\nADD --checksum=sha256:"
        + b"a" * 64
        + b" https://x.example/f /f\n"
    )
    yield b'# escape=`\nARG A=1\nFROM img AS b\nRUN <<E `\n cat\necho ${A:-x}\nE\nFROM b\nCOPY --from=b /x /y\nCMD ["a"]\n'
    yield (
        b"FROM deb\nARG V=2 W\nENV A=$V B=${A%2} C=\"a b\" D='$x'\nLABEL a=b\nUSER 1:2\nWORKDIR /x/$A\nEXPOSE 80/tcp 90-92\n"
        b'VOLUME ["/v"]\nSTOPSIGNAL SIGTERM\nSHELL ["/bin/sh", "-c"]\n'
        b"HEALTHCHECK --interval=1m30s --timeout=5s --retries=3 CMD true\n"
        b"RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t,size=1m --network=none echo x\n"
        b"RUN --mount=type=secret,id=s,required=true --mount=type=bind,source=data,target=/d true\n"
        b'COPY --chown=1:2 --chmod=755 --link data/* l /y/\nONBUILD RUN x\nENTRYPOINT ["x", "y"]\nCMD z\n'
    )


WORDS = (
    "a",
    "$A",
    "${A}",
    "${A:-b}",
    "${A:+b}",
    "${A#b}",
    "${A##*b}",
    "${A%b}",
    "${A/b/c}",
    "${A//b/c}",
    "\\$A",
    '"a b"',
    "'a'",
    "/x",
    "/x/",
    "x/*",
    "**",
    "..",
    "data",
    "app.py",
    "l",
    "img",
    "deb",
    "scratch",
    "b",
    "0",
    "1",
    "--from=b",
    "--chown=1:2",
    "--chmod=u+x",
    "--platform=linux/arm64",
    "--mount=type=bind",
    "--mount=type=cache,target=/c",
    "--mount=type=secret,id=s",
    "--network=none",
    "https://x.example/f",
    "<<E",
    "<<-'E'",
    '["a", "b"]',
    "[]",
    "AS b",
    "A=1",
    "A=$A",
    "A=${A}${A}",
    "=",
    "80/udp",
    "1-65535",
    "NONE",
    "CMD",
    "--interval=1s",
    "sha256:" + "a" * 64,
    "\\",
    "`",
    "#",
)


def make_dockerfile() -> bytes:
    """Make a Dockerfile of its grammar, mostly."""
    lines = random.choice(([], ["# escape=`"], ["# syntax=x"], ["ARG A=1", "ARG B=${A}x"]))
    for _ in range(random.randrange(1, 4)):
        lines.append(
            f"FROM {random.choice(('img', 'deb', 'scratch', 'b', '$A'))} {random.choice(('', 'AS b', 'AS c'))}"
        )
        for _ in range(random.randrange(8)):
            keyword = random.choice(list(FLAGS))
            rest = " ".join(random.choices(WORDS, k=random.randrange(1, 6)))
            lines.append(f"{keyword} {rest}" + random.choice(("", "", "", " \\", "\nE")))
    return "\n".join(lines).encode() + random.choice((b"", b"\n", b"\nE\n"))


def read_ignore(data: bytes, directory: Path) -> None:
    """Read patterns and hold paths against them, as a context is walked."""
    path = directory / ".dockerignore"
    path.write_bytes(data)
    rules = ignore.load_ignore(path)
    # Of few names: a path costs as many matches as there are patterns for each of its names.
    for name in ("a/b/c", "x" * 200, "a/a/a/a/a/a/a/a/a/a/b"):
        rules.ignores(name)


def read_toml(data: bytes, directory: Path) -> None:
    """Read vcr.toml, and say what its inputs are."""
    project = _project(directory, b"FROM scratch\n", data)
    wanted_inputs(project).digests()


def _tomls() -> Iterator[bytes]:
    yield from _examples("vcr.toml")
    yield BASES.encode()
    yield (
        b'[project]\nname = "x"\ncontext = "."\ndockerfile = "Dockerfile"\n[base.a]\noci = "data"\n[machine]\nmemory = "256 MiB"\n'
        b'[health]\ninterval = "5s"\ncommand = ["x"]\n[services.db]\nimage = "x"\n[dev]\nports = ["80:80"]\n'
    )


def read_lock(data: bytes, directory: Path) -> None:
    """Read vcr.lock, and plan what it closes."""
    project = _project(
        directory,
        b"FROM deb\nADD https://x.example/f /f\nRUN x\nFROM img\nCOPY --from=0 /f /g\n",
        BASES.encode(),
    )
    project.lock_file.write_bytes(data)
    lock = read_lock_file(project.lock_file)
    differences(lock, project)
    for profile in ("vm", "prod"):
        make_plan(project, lock, arch=Arch.RISCV64, profile=profile)


def _locks() -> Iterator[bytes]:
    root = Path(tempfile.mkdtemp(prefix="vcr-fuzz-"))
    try:
        project = _project(
            root,
            b"FROM deb\nADD https://x.example/f /f\nRUN x\nFROM img\nCOPY --from=0 /f /g\n",
            BASES.encode(),
        )
        yield _lock(project).to_text().encode()
    finally:
        shutil.rmtree(root)
    yield from _examples("vcr.lock")


def read_words(data: bytes, _directory: Path) -> None:
    """Split and expand a line as the Dockerfile's are."""
    line = data.decode("utf-8", "replace")
    for escape in "\\`":
        with suppress(words.WordError):
            split_words(line, escape)
        with suppress(words.WordError):
            Expander({"A": "aXbXc" * 20, "B": "", "C": "*?[x]"}, escape).word(line)


def read_pattern(data: bytes, _directory: Path) -> None:
    """Compile a pattern, of COPY or of .dockerignore, and match."""
    pattern, _, path = data.decode("utf-8", "replace").partition("\n")
    for double_star in (False, True):
        compiled = compile_pattern(pattern, double_star=double_star)
        for each in (path, "a/" * 60 + "a", "a" * 255):
            compiled.match(each)


def read_values(data: bytes, _directory: Path) -> None:
    """Read a duration, an address, a reference, a digest."""
    value = data.decode("utf-8", "replace")
    readers: tuple[Callable[[str], object], ...] = (
        parse_duration,
        url.check_url,
        parse_address,
        Reference.parse,
        Digest,
        Ignore.parse,
    )
    for read in readers:
        with suppress(ValueError, VcrError):
            read(value)


TARGETS = (
    Target(
        "dockerfile",
        read_dockerfile,
        _dockerfiles,
        "text",
        make=make_dockerfile,
        modules=(syntax, text, words, stages, mounts, instructions),
        words=tuple(w.encode() for w in WORDS),
    ),
    Target(
        "words",
        read_words,
        lambda: [w.encode() for w in WORDS],
        "text",
        modules=(words,),
        most=4096,
    ),
    Target(
        "dockerignore",
        read_ignore,
        lambda: [b"# x\n**/*.pyc\n!a/b\n/.git\n[a-c]?\n\\#\n**/a/*\n"],
        "text",
        modules=(ignore,),
        words=(b"**", b"**/", b"!", b"[^a]", b"a/", b"\\"),
    ),
    Target(
        "pattern",
        read_pattern,
        lambda: [b"a*b?[a-c]\nab", b"**/a/**/b\na/a/b", b"[^\\]]\\*\nx"],
        "text",
        most=8192,
        words=(b"**/a/", b"*a", b"[a-z]", b"[^", b"]", b"**", b"?"),
        may_raise=(ValueError,),
    ),
    Target(
        "vcr.toml",
        read_toml,
        _tomls,
        "text",
        modules=(config,),
        words=(b"[[", b"]]", b"'''", b'"""', b"{", b"1979-05-27"),
    ),
    Target("vcr.lock", read_lock, _locks, "json", modules=(lockfile,)),
    Target(
        "values",
        read_values,
        lambda: [
            b"1m30s",
            b"500ms",
            b"https://a.example:80/x?y=%20#z",
            b"tcp:127.0.0.1:10809",
            b"unix:/run/x",
            b"vsock:10809",
            b"registry.example.org:5000/team/app:1@sha256:" + b"a" * 64,
            b"sha256:" + b"0" * 64,
            b"https://[::1]/",
        ],
        "text",
        modules=(url,),
    ),
)
