"""Which packages of Debian have the programs that Dockerfiles call without installing them."""

import re

APT = frozenset({"apt", "apt-get", "apt-cache", "apt-key", "apt-mark"})
# What Debian's corepack fetches and runs
COREPACK = frozenset({"pnpm", "pnpx", "yarn", "yarnpkg"})
# What is not installed, but copied from an image: COPY --from=composer /usr/bin/composer
COPIED = frozenset({"composer"})
# Package managers of other systems → whose they are
FOREIGN = {
    "apk": "Alpine",
    "dnf": "Fedora",
    "microdnf": "Fedora",
    "pacman": "Arch Linux",
    "yum": "CentOS",
    "zypper": "openSUSE",
}
# command → package, where they differ; of trixie
_PACKAGES = {
    **dict.fromkeys(APT, "apt"),
    "addgroup": "adduser",
    "awk": "mawk",
    "bunzip2": "bzip2",
    "chpasswd": "passwd",
    "corepack": "node-corepack",
    "diff": "diffutils",
    "envsubst": "gettext-base",
    "find": "findutils",
    "groupadd": "passwd",
    "groupmod": "passwd",
    "gunzip": "gzip",
    "locale-gen": "locales",
    "lsb_release": "lsb-release",
    "nc": "netcat-openbsd",  # has -z, as Alpine's; Debian's busybox has not
    "node": "nodejs",
    "pip": "python3-pip",
    "pip3": "python3-pip",
    "pkg-config": "pkgconf",
    "ps": "procps",
    "python": "python-is-python3",
    "supervisord": "supervisor",
    "update-ca-certificates": "ca-certificates",
    "useradd": "passwd",
    "usermod": "passwd",
    "which": "debianutils",
    "xargs": "findutils",
    "xz": "xz-utils",
}
# commands that are packages of their own name
_OWN = frozenset([
    "adduser", "bash", "bzip2", "cmake", "composer", "curl", "dumb-init", "file", "gawk",
    "gcc", "g++", "git", "gnupg", "gosu",
    "grep", "gzip", "hostname", "jq", "make", "npm", "openssl", "passwd", "patch", "perl",
    "procps", "python3", "rsync", "ruby", "sed", "sudo", "tar", "tini", "unzip", "wget", "zip",
    "zstd",
])  # fmt: skip
# a package of Alpine → of Debian, where the names differ
_ALPINE = {
    "build-base": "build-essential",
    "gcompat": "",
    "libc6-compat": "",
    "libc-dev": "libc6-dev",
    "linux-headers": "linux-libc-dev",
    "musl-dev": "libc6-dev",
    "openssh": "openssh-client",
    "openssl-dev": "libssl-dev",
    "pkgconfig": "pkgconf",
    "postgresql-dev": "libpq-dev",
    "py3-pip": "python3-pip",
    "shadow": "passwd",
    "sqlite": "sqlite3",
    "su-exec": "gosu",
    "zlib-dev": "zlib1g-dev",
}
_ADDED = re.compile(r"\bapk\s+(?:-\S+\s+)*add\s+([^;&|\n]*)")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")


def package_of(command: str) -> str:
    """Return the package that has COMMAND, "" where none is known."""
    return _PACKAGES.get(command) or (command if command in _OWN else "")


def instead_of_apk(text: str) -> tuple[str, ...]:
    """Return the packages, by Debian's names where known, that TEXT adds with Alpine's apk."""
    words = (word for match in _ADDED.finditer(text) for word in match[1].split())
    names = (re.split("[=<>~@]", word)[0] for word in words if not word.startswith(("-", ".")))
    found = (_ALPINE.get(name, name) for name in names if _NAME.fullmatch(name))
    return tuple(dict.fromkeys(name for name in found if name))


def advice(command: str, text: str, image: str) -> str:
    """Return what to do when TEXT, of a step, calls COMMAND, which the packages of IMAGE lack."""
    base = f'[base."{image}"]'
    if command in APT:
        return f'add "apt" and "ca-certificates" to packages of {base}, and configure = true'
    if command in FOREIGN:
        added = ", ".join(f'"{name}"' for name in instead_of_apk(text)) or "what it installs"
        return (
            f"{command} is of {FOREIGN[command]}: take it out of the step, and add {added} to"
            f" packages of {base} (names may differ in Debian)"
        )
    package = package_of(command)
    what = f'add "{package}"' if package else f"add the package of Debian that has {command}"
    return f"{what} to packages of {base}, and run `vcr lock`"
