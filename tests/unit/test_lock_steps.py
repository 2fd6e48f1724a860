"""Which steps are carried out with a network at once, and which answers nobody keeps."""

import pytest

from vcr.build.lent import answers_of, is_for_one_arch
from vcr.build.lock_session import ASKS, Session, Steps
from vcr.errors import VcrError
from vcr.lock.vanishing import vanishing
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedBody, LockedExchange, LockedRun
from vcr.model.plan import Plan, Run

SURE = (
    "apt-get update && apt-get install -y gcc",
    "apt-get -qq update",
    "apk add --no-cache curl",
    "apk --no-cache add curl",
    "pip install --no-cache-dir -r requirements.txt",
    "python3 -m pip install flask",
    "npm ci --omit=dev",
    "corepack enable && pnpm install --frozen-lockfile",
    "yarn install",
    "yarn",
    "cd /app && yarn --frozen-lockfile && yarn cache clean",
    "yarnpkg add ms",
    "uv sync --locked",
    "bundle install",
    "composer install --no-dev",
    "cargo fetch --locked",
    "go mod download",
    "git clone --depth 1 https://example.test/repo",
    "curl -fsSL https://example.test/x | tar xz",
    "set -eux; wget -q https://example.test/x",
)
UNSURE = (
    "go build -o /app .",
    "cargo build --release --offline",
    "make install",
    "install -d /app && chmod 755 /app",
    "npm run build",
    "yarn build",
    "yarn --silent build && yarn cache clean",
    "echo curl; ls",
    "curl --version; echo https://example.test/",
    "adduser --system app",
    "git config --global user.name me",
    "python3 setup.py install",
)


@pytest.mark.parametrize("command", SURE)
def test_a_client_that_asks_the_network_is_recognised(command: str) -> None:
    assert ASKS.search(f"/bin/sh -c {command}")


@pytest.mark.parametrize("command", UNSURE)
def test_other_commands_are_tried_without_one_first(command: str) -> None:
    assert not ASKS.search(f"/bin/sh -c {command}")


@pytest.mark.parametrize(
    ("address", "arch", "is_for_another"),
    [
        ("http://deb.test/dists/trixie/main/binary-riscv64/Packages.xz", Arch.AMD64, True),
        ("http://deb.test/dists/trixie/main/binary-riscv64/Packages.xz", Arch.RISCV64, False),
        ("https://files.test/x-1.0-cp313-manylinux_2_28_x86_64.whl", Arch.RISCV64, True),
        ("https://files.test/x-1.0-cp313-manylinux_2_28_x86_64.whl", Arch.AMD64, False),
        ("https://files.test/x-linux-ARM64.tgz", Arch.AMD64, True),
        ("https://files.test/x-1.0-py3-none-any.whl", Arch.AMD64, False),
        ("https://files.test/charm64/-/charm64-1.0.tgz", Arch.AMD64, False),
    ],
)
def test_answers_for_one_architecture_are_recognised(
    address: str, arch: Arch, is_for_another: bool
) -> None:
    exchange = LockedExchange(url=address, sha256="0" * 64)
    entry = LockedRun(command="RUN get", exchanges=(exchange,))
    assert is_for_one_arch(entry, arch) is is_for_another


def test_of_several_answers_to_one_request_none_is_lent() -> None:
    def exchange(url: str, number: int) -> LockedExchange:
        return LockedExchange(url=url, sha256=f"{number:064}")

    lock = lock_of(*(LockedBody(name=f"b{number}", size=1) for number in range(3)))
    entry = LockedRun(
        command="RUN get",
        exchanges=(exchange("http://h/a", 0), exchange("http://h/b", 1), exchange("http://h/a", 2)),
    )
    lent = answers_of(entry, lock)
    assert list(lent) == [("GET", "http://h/b", "", "")]
    assert lent["GET", "http://h/b", "", ""][1].name == "b1"


def steps_of(command: str) -> Steps:
    """One RUN of COMMAND, as if it were the whole project; its inputs are those of "now"."""
    run = Run(("/bin/sh", "-c", command), (), (), "", "/", Arch.AMD64)
    return Steps(Plan.__new__(Plan), {"0.1.run": run}, {"0.1.run": "now"}, {"0.1.run": frozenset()})


def locked(steps: Steps, **inputs: str) -> Lock:
    """A lock in which the step has an answer for each architecture, made for its INPUTS."""
    (run,) = steps.runs.values()
    runs = {}
    for number, (arch, of) in enumerate(inputs.items()):
        exchange = LockedExchange(url=f"http://h/{number}", sha256=f"{number:064}")
        entry = LockedRun.model_construct(command="RUN get", exchanges=(exchange,), inputs=(of,))
        runs[Arch(arch)] = {run.key if of else "another": entry}
    return Lock.model_construct(runs=runs, bodies={})


@pytest.mark.parametrize("before", ["", "earlier"])
def test_a_step_is_tried_with_the_answers_of_another_architecture_once(before: str) -> None:
    steps = steps_of("pip install x")
    (ident,), (run,) = steps.runs, steps.runs.values()
    inputs = {"riscv64": "now", **({"amd64": before} if before else {})}
    session = Session(locked(steps, **inputs), Arch.AMD64, (Arch.RISCV64,))
    own, lent = session.entry(run), session.lock.runs[Arch.RISCV64][run.key]
    assert session.borrow(steps, ident)
    tried = session.entry(run)
    assert tried is not None
    assert (tried.exchanges, tried.inputs) == (lent.exchanges, ())
    assert not session.is_to_record(steps, ident)
    session.refuse(steps, ident, VcrError("it asks for more"))
    assert session.entry(run) == own
    assert session.is_to_record(steps, ident)
    assert not session.borrow(steps, ident)


@pytest.mark.parametrize(
    ("command", "inputs"),
    [
        ("pip install x", {"riscv64": "now", "amd64": "now"}),  # its own answers will do
        ("pip install x", {"arm64": "now"}),  # nobody has looked whether they still do
        ("make", {"riscv64": "now", "amd64": ""}),  # locked before, and asks for nothing
    ],
)
def test_a_step_that_needs_no_answers_borrows_none(command: str, inputs: dict[str, str]) -> None:
    steps = steps_of(command)
    (ident,) = steps.runs
    session = Session(locked(steps, **inputs), Arch.AMD64, (Arch.RISCV64,))
    before = session.lock
    assert not session.borrow(steps, ident)
    assert session.lock == before


def lock_of(*bodies: LockedBody) -> Lock:
    return Lock.model_construct(bodies={f"{i:064}": body for i, body in enumerate(bodies)})


def test_an_answer_that_only_this_host_may_have_soon_is_said_to() -> None:
    alpine = "https://dl-cdn.alpinelinux.org/alpine/v3.22/main/x86_64"
    lock = lock_of(
        LockedBody(name="a-1-r0.apk", size=1 << 20, url=f"{alpine}/a-1-r0.apk"),
        LockedBody(name="b-1-r0.apk", size=1 << 21, url=f"{alpine}/b-1-r0.apk"),
        LockedBody(name="small-1-r0.apk", size=9, url=f"{alpine}/small-1-r0.apk", data="aGVsZA=="),
        LockedBody(name="x.whl", size=9, url="https://files.pythonhosted.org/packages/7f/a1/x.whl"),
        LockedBody(name="tool", size=1 << 20, url="https://example.test/latest/tool"),
        LockedBody(name="git-upload-pack", size=1 << 20),
    )
    told = list(vanishing(lock))
    assert [line.partition(" may soon")[0] for line in told] == [
        "no address has them: 1 file (1.0 MiB)",
        "Alpine keeps no old packages: 2 files (3.0 MiB) of dl-cdn.alpinelinux.org",
        "what example.test has may change: 1 file (1.0 MiB)",
    ]
    assert all("`vcr lock --export DIR`" in line for line in told)
