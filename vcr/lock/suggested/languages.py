"""What stands for the images of languages: compilers, interpreters, and their package managers."""

from typing import Any

from vcr.lock.suggested.section import UTF8, image, path

_JAVA: dict[str, Any] = {
    "env": {"JAVA_HOME": "/usr/lib/jvm/default-java", **UTF8},
    "version": "21",
}
JDK = image("default-jdk-headless", **_JAVA, cmd=("jshell",))
JRE = image("default-jre-headless", **_JAVA)
MAVEN = image("maven", "default-jdk-headless", **{**_JAVA, "version": "3.9"}, cmd=("mvn",))

_GO: dict[str, Any] = {
    "env": {"GOPATH": "/go", "GOTOOLCHAIN": "local", **path("/go/bin")},
    "workdir": "/go",
    "version": "1.24",
}
GO_WITHOUT_C = image("golang-go", "ca-certificates", "git", **_GO)  # as its images for Alpine
# Go compiles packages with C in them, such as drivers of SQLite, only where there is a compiler.
GO = image(
    *("golang-go", "ca-certificates", "git", "gcc", "g++", "libc6-dev", "make", "pkgconf"), **_GO
)

# https://github.com/nodejs/docker-node has yarn 1.22; Debian's is 4. Its corepack fetches 1.22,
# or what package.json names, in a RUN, into what all users of the image read.
NODE = image(
    "nodejs",
    "npm",
    "node-corepack",
    env={"COREPACK_DEFAULT_TO_LATEST": "0", "COREPACK_HOME": "/var/tmp/corepack"},  # noqa: S108
    cmd=("node",),
    users={"node": 1000},
    links={"/usr/bin/yarn": "/usr/share/nodejs/corepack/dist/yarn.js"},
    version="20",
)
# Debian's pip installs beside its packages only if it is told so: PEP 668.
PYTHON = image(
    "python3",
    "python3-pip",
    "python3-venv",
    "python-is-python3",
    env={**UTF8, "PIP_BREAK_SYSTEM_PACKAGES": "1"},
    cmd=("python3",),
    version="3.13",
)
RUBY = image(
    "ruby",
    "bundler",
    env={
        **UTF8,
        "GEM_HOME": "/usr/local/bundle",
        "BUNDLE_APP_CONFIG": "/usr/local/bundle",
        "BUNDLE_SILENCE_ROOT_WARNING": "1",
        **path("/usr/local/bundle/bin"),
    },
    cmd=("irb",),
    version="3.3",
)
RUST = image(
    "cargo",
    "rustc",
    "gcc",
    "libc6-dev",
    env={"CARGO_HOME": "/usr/local/cargo", **path("/usr/local/cargo/bin")},
    version="1.85",
)
# The others, by the names of their images.
OTHERS = {
    "clojure": image("leiningen", "clojure", "default-jdk-headless", **_JAVA),
    "composer": image("composer", "git", "unzip", cmd=("composer",), workdir="/app", version="2.8"),
    "elixir": image(
        *("elixir", "erlang", "rebar3", "ca-certificates", "git", "make"),
        env=UTF8,
        cmd=("iex",),
        version="1.18",
    ),
    "erlang": image(
        "erlang", "rebar3", "ca-certificates", "git", env=UTF8, cmd=("erl",), version="27"
    ),
    "gcc": image("gcc", "g++", "make", "libc6-dev", version="14"),
    "haskell": image(
        "ghc", "cabal-install", "haskell-stack", env=UTF8, cmd=("ghci",), version="9.6"
    ),
    "perl": image(
        *("perl", "cpanminus", "ca-certificates", "gcc", "libc6-dev", "make"),
        cmd=("perl", "-de0"),
        workdir="/usr/src/app",
        version="5.40",
    ),
    "pypy": image("pypy3", "ca-certificates", env=UTF8, cmd=("pypy3",), version="3.11"),
    "r-base": image(
        "r-base", "r-base-dev", env={"LC_ALL": "C.UTF-8", **UTF8}, cmd=("R",), version="4.5"
    ),
}
