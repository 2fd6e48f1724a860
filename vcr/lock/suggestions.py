"""What to write in vcr.toml for an image that cannot be fetched: Debian packages like it.

The images are the official ones that public Dockerfiles name most. A package is of trixie, for
each architecture. Of their configs there is what Dockerfiles and apps rely on.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from vcr.dockerfile.state import DEFAULT_PATH
from vcr.dockerfile.text import Position
from vcr.errors import FetchError, HostError, UsageError
from vcr.lock.debian.commands import APT, package_of
from vcr.model.url import familiar_name

SHELL = ("dash", "coreutils", "base-passwd", "base-files")
UTF8 = {"LANG": "C.UTF-8"}
_BARE = re.compile(r"[A-Za-z0-9_-]+")  # https://toml.io/en/v1.0.0#keys
# What the images of nginx serve without a Dockerfile's own configuration.
NGINX_SITE = """\
server {
    listen 80;
    server_name localhost;

    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }
}
"""


@dataclass(frozen=True)
class Suggestion:
    """Packages that an image is used for, and of its config what apps count on."""

    packages: tuple[str, ...]
    configure: bool = False
    keys: dict[str, Any] = field(default_factory=dict)  # further ones of [base.NAME]

    def calling(self, commands: Collection[str]) -> "Suggestion":
        """Return it with the packages that have COMMANDS, or with apt, if that is one of them."""
        if not APT.isdisjoint(commands):  # it installs the others, onto configured packages
            more, is_configured = ["apt", "ca-certificates"], True
        else:
            more, is_configured = [package_of(command) for command in commands], self.configure
        links = {path.rpartition("/")[2] for path in self.keys.get("links", {})}
        known = {*self.packages, *map(package_of, links), ""}
        added = tuple(dict.fromkeys(each for each in more if each not in known))
        return replace(self, packages=(*self.packages, *added), configure=is_configured)

    def section(self, name: str) -> str:
        """Return the section of vcr.toml for the image NAME."""
        keys: dict[str, Any] = {"packages": self.packages, **self.keys}
        if self.configure:
            keys["configure"] = True
        files = keys.pop("files", {})
        lines = [f"{key} = {_value(value)}\n" for key, value in keys.items()]
        lines += [f"files.{json.dumps(path)} = '''\n{text}'''\n" for path, text in files.items()]
        return f'[base."{name}"]\n{"".join(lines)}'


def _image(*packages: str, shell: bool = True, configure: bool = False, **keys: Any) -> Suggestion:
    return Suggestion((*packages, *(SHELL if shell else ())), configure, keys)


def _path(*directories: str) -> dict[str, str]:
    return {"PATH": ":".join((*directories, DEFAULT_PATH))}


def _value(value: Any) -> str:
    """Return VALUE as TOML: its texts are JSON's."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)


_APT = _image("apt", "ca-certificates", shell=False, configure=True, cmd=("bash",))
# Applets of Debian's busybox that neither SHELL nor what it needs has; the package has no links.
_APPLETS = (
    "clear", "diff", "egrep", "fgrep", "find", "free", "grep", "gunzip", "gzip", "hostname",
    "httpd", "ifconfig", "ip", "kill", "killall", "less", "more", "nc", "netstat", "nslookup",
    "pidof", "ping", "ps", "sed", "su", "tar", "top", "traceroute", "unzip", "vi", "watch",
    "wget", "xargs", "xxd", "xzcat", "zcat",
)  # fmt: skip
_BUSYBOX = _image(
    "busybox", cmd=("sh",), links={f"/usr/bin/{applet}": "busybox" for applet in _APPLETS}
)
_JAVA: dict[str, Any] = {"env": {"JAVA_HOME": "/usr/lib/jvm/default-java", **UTF8}}
# name of a repository → what stands for its images
IMAGES = {
    "alpine": _BUSYBOX,
    # These are used for apt-get, which needs packages whose scripts have run.
    "buildpack-deps": _APT,
    "busybox": _BUSYBOX,
    "debian": _APT,
    "eclipse-temurin": _image("default-jre-headless", **_JAVA),
    "gcc": _image("gcc", "g++", "make", "libc6-dev"),
    "golang": _image(
        "golang-go",
        "ca-certificates",
        "git",
        env={"GOPATH": "/go", "GOTOOLCHAIN": "local", **_path("/go/bin")},
        workdir="/go",
    ),
    # memcached refuses to start as root; its package's scripts make its user.
    "memcached": _image(
        "memcached", configure=True, cmd=("memcached",), user="memcache", ports=(11211,)
    ),
    "nginx": _image(
        "nginx-light",
        cmd=("nginx", "-g", "daemon off;"),
        ports=(80,),
        stop_signal="SIGQUIT",
        users={"nginx": 101},
        links={
            "/var/log/nginx/access.log": "/dev/stdout",
            "/var/log/nginx/error.log": "/dev/stderr",
        },
        files={"/etc/nginx/conf.d/default.conf": NGINX_SITE},
    ),
    "node": _image("nodejs", "npm", cmd=("node",), users={"node": 1000}),
    "openjdk": _image("default-jdk-headless", **_JAVA),
    # Its extensions are enabled by the packages' scripts; the image has these beside the usual.
    "php": _image(
        "php-cli",
        "php-curl",
        "php-mbstring",
        "php-sqlite3",
        "php-xml",
        configure=True,
        cmd=("php", "-a"),
    ),
    # initdb and postgres refuse root, and the packages' scripts make the user postgres.
    "postgres": _image(
        "postgresql",
        configure=True,
        env={**UTF8, "PGDATA": "/var/lib/postgresql/data", **_path("/usr/lib/postgresql/17/bin")},
        ports=(5432,),
        stop_signal="SIGINT",
    ),
    # Debian's pip installs beside its packages only if it is told so: PEP 668.
    "python": _image(
        "python3",
        "python3-pip",
        "python3-venv",
        "python-is-python3",
        env={**UTF8, "PIP_BREAK_SYSTEM_PACKAGES": "1"},
        cmd=("python3",),
    ),
    # The image's redis is built without protected mode, which answers only its own container.
    "redis": _image(
        "redis-server",
        cmd=("redis-server", "--protected-mode", "no"),
        workdir="/data",
        ports=(6379,),
    ),
    "ruby": _image(
        "ruby",
        "bundler",
        env={
            **UTF8,
            "GEM_HOME": "/usr/local/bundle",
            "BUNDLE_APP_CONFIG": "/usr/local/bundle",
            "BUNDLE_SILENCE_ROOT_WARNING": "1",
            **_path("/usr/local/bundle/bin"),
        },
        cmd=("irb",),
    ),
    "rust": _image(
        "cargo",
        "rustc",
        "gcc",
        "libc6-dev",
        env={"CARGO_HOME": "/usr/local/cargo", **_path("/usr/local/cargo/bin")},
    ),
    "ubuntu": _APT,
}


def suggestion(reference: str, commands: Collection[str] = ()) -> str:
    """Return the section of vcr.toml that replaces the image REFERENCE, "" where none is known.

    Its packages have those of COMMANDS, which are called, that are known, too.
    """
    name = familiar_name(reference)
    found = IMAGES.get(name.partition("@")[0].rpartition("/")[2].partition(":")[0])
    return found.calling(commands).section(name) if found else ""


def instead(reference: str, first: str, commands: Collection[str] = ()) -> str:
    """Return what to do without the image REFERENCE: FIRST, or packages, which may be known.

    COMMANDS are what is called on it.
    """
    section = suggestion(reference, commands)
    if section:
        return (
            f"{first}; or build on Debian packages, in vcr.toml"
            f" (`vcr lock --suggest` writes it):\n{section}"
        )
    return f'{first}; or name packages or a layout in vcr.toml: [base."{reference}"]'


@contextmanager
def naming(
    reference: str, at: Position | None, stages: Sequence[str], commands: Collection[str] = ()
) -> Iterator[None]:
    """Let errors about the image REFERENCE, which stands AT, say where, and what to write.

    STAGES are the names of the Dockerfile's own: one of them may be meant. COMMANDS are what is
    called on the image.
    """
    try:
        yield
    except (FetchError, HostError, UsageError) as error:
        if at is None:
            raise
        error.what = f"{at}: {reference}: {error.what}"
        near = get_close_matches(reference, stages, n=1)
        other = instead(reference, error.fix, commands)
        error.fix = f"did you mean the stage {near[0]}?" if near else other
        raise
