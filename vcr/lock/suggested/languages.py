"""What stands for the images of languages: compilers, interpreters, and their package managers."""

from dataclasses import replace
from typing import Any

from vcr.lock.suggested.section import UTF8, Suggestion, entrypoint, image, path

# Of https://github.com/docker-library/buildpack-deps, which is below the images whose tags say
# neither slim nor alpine, what packages of languages are compiled with most often.
_COMPILERS = ("gcc", "g++", "libc6-dev", "make", "pkgconf", "ca-certificates", "curl", "git")
_LIBRARIES = (
    *("default-libmysqlclient-dev", "libffi-dev", "libpq-dev", "libsqlite3-dev", "libssl-dev"),
    *("libxml2-dev", "libxslt1-dev", "libyaml-dev", "zlib1g-dev"),
)


def _compiling(small: Suggestion, *more: str) -> Suggestion:
    """Return SMALL as it is with a compiler, and MORE packages that are needed for that."""
    packages = (*small.packages, *more, *_COMPILERS, *_LIBRARIES)
    return replace(small, packages=tuple(dict.fromkeys(packages)))


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
GO = image("golang-go", *_COMPILERS, **_GO)

# https://github.com/nodejs/docker-node has yarn 1.22; Debian's is 4. Its corepack fetches 1.22,
# or what package.json names, in a RUN, into what all users of the image read.
_NODE = """\
#!/bin/sh
# What is no command is a script, and options are node's.
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ] || { [ -f "$1" ] && [ ! -x "$1" ]; }; then
  set -- node "$@"
fi
exec "$@"
"""
NODE = image(
    "nodejs",
    "npm",
    "node-corepack",
    env={"COREPACK_DEFAULT_TO_LATEST": "0", "COREPACK_HOME": "/var/tmp/corepack"},  # noqa: S108
    **entrypoint(_NODE),
    cmd=("node",),
    users={"node": 1000},
    links={"/usr/bin/yarn": "/usr/share/nodejs/corepack/dist/yarn.js"},
    version="20",
)
NODE_COMPILING = _compiling(NODE, "python3")
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
PYTHON_COMPILING = _compiling(PYTHON, "python3-dev")
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
RUBY_COMPILING = _compiling(RUBY, "ruby-dev")
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
