"""Images whose place Debian packages can take: the official ones that Dockerfiles name most.

A package is of trixie, for each architecture. Of their configs there is what Dockerfiles and apps
rely on.
"""

from typing import Any

from vcr.lock.suggested import php, web
from vcr.lock.suggested.section import UTF8, image, path

_APT = image("apt", "ca-certificates", shell=False, configure=True, cmd=("bash",))
# Applets of Debian's busybox that neither SHELL nor what it needs has; the package has no links.
_APPLETS = (
    "clear", "diff", "egrep", "fgrep", "find", "free", "grep", "gunzip", "gzip", "hostname",
    "httpd", "ifconfig", "ip", "kill", "killall", "less", "more", "netstat", "nslookup",
    "pidof", "ping", "ps", "sed", "su", "tar", "top", "traceroute", "unzip", "vi", "watch",
    "wget", "xargs", "xxd", "xzcat", "zcat",
)  # fmt: skip
_BUSYBOX = image(
    *("busybox", "dash", "coreutils", "base-passwd", "base-files"),
    shell=False,
    cmd=("sh",),
    links={f"/usr/bin/{applet}": "busybox" for applet in _APPLETS},
)
_JAVA: dict[str, Any] = {"env": {"JAVA_HOME": "/usr/lib/jvm/default-java", **UTF8}}
_JDK = image("default-jdk-headless", **_JAVA, cmd=("jshell",))
_JRE = image("default-jre-headless", **_JAVA)
# name of a repository → what stands for its images
IMAGES = {
    "amazoncorretto": _JDK,
    "alpine": _BUSYBOX,
    # These are used for apt-get, which needs packages whose scripts have run.
    "buildpack-deps": _APT,
    "busybox": _BUSYBOX,
    "caddy": web.CADDY,
    "composer": image("composer", "git", "unzip", cmd=("composer",), workdir="/app"),
    "debian": _APT,
    "eclipse-temurin": _JDK,
    "gcc": image("gcc", "g++", "make", "libc6-dev"),
    "golang": image(
        "golang-go",
        "ca-certificates",
        "git",
        env={"GOPATH": "/go", "GOTOOLCHAIN": "local", **path("/go/bin")},
        workdir="/go",
    ),
    "httpd": web.HTTPD,
    "maven": image("maven", "default-jdk-headless", **_JAVA, cmd=("mvn",)),
    # memcached refuses to start as root; its package's scripts make its user.
    "memcached": image(
        "memcached", configure=True, cmd=("memcached",), user="memcache", ports=(11211,)
    ),
    "nginx": web.NGINX,
    "node": image("nodejs", "npm", cmd=("node",), users={"node": 1000}),
    "openjdk": _JDK,
    "php": php.CLI,
    # initdb and postgres refuse root, and the packages' scripts make the user postgres.
    "postgres": image(
        "postgresql",
        configure=True,
        env={**UTF8, "PGDATA": "/var/lib/postgresql/data", **path("/usr/lib/postgresql/17/bin")},
        ports=(5432,),
        stop_signal="SIGINT",
    ),
    # Debian's pip installs beside its packages only if it is told so: PEP 668.
    "python": image(
        "python3",
        "python3-pip",
        "python3-venv",
        "python-is-python3",
        env={**UTF8, "PIP_BREAK_SYSTEM_PACKAGES": "1"},
        cmd=("python3",),
    ),
    # The image's redis is built without protected mode, which answers only its own container.
    "redis": image(
        "redis-server",
        cmd=("redis-server", "--protected-mode", "no"),
        workdir="/data",
        ports=(6379,),
    ),
    "ruby": image(
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
    ),
    "rust": image(
        "cargo",
        "rustc",
        "gcc",
        "libc6-dev",
        env={"CARGO_HOME": "/usr/local/cargo", **path("/usr/local/cargo/bin")},
    ),
    "ubuntu": _APT,
}
# The same for tags with a word, such as php:8.4-fpm.
VARIANTS = {
    ("eclipse-temurin", "jre"): _JRE,
    ("openjdk", "jre"): _JRE,
    ("php", "apache"): php.APACHE,
    ("php", "fpm"): php.FPM,
}
# Part of an image's name → why nothing is suggested for it.
ABSENT = {
    "mcr.microsoft.com/dotnet/": "Debian has no packages of .NET",
    "mongo": "Debian has no packages of MongoDB",
    "traefik": "Debian has no packages of Traefik",
    "elasticsearch": "Debian has no packages of Elasticsearch",
}
