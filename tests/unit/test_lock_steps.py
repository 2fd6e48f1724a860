"""Which steps are carried out with a network at once, and which answers nobody keeps."""

import pytest

from vcr.build.lock_session import ASKS
from vcr.lock.vanishing import vanishing
from vcr.model.lockfile import Lock, LockedBody

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
