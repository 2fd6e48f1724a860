"""Words for why a program of an image cannot be started."""

import re

from vcr.diagnosis.facts import Program
from vcr.escape import visible

# e_machine and class of ELF: elf(5), /usr/include/elf.h
ARCHITECTURES = {
    "3:1": "x86 of 32 bits", "62:2": "x86-64", "62:1": "x32", "40:1": "arm of 32 bits",
    "183:2": "arm64", "243:2": "riscv64", "243:1": "riscv of 32 bits", "21:2": "ppc64le",
    "22:2": "s390x", "258:2": "loongarch64", "8:2": "mips64",
}  # fmt: skip
# By the problem of a program: why it cannot start, and what to do.
_CHANGE = "or change CMD or ENTRYPOINT in the Dockerfile"
PROGRAMS = {
    "missing": (
        "the image has no {path}, which its CMD or ENTRYPOINT starts",
        f"COPY or install it, correct PATH, {_CHANGE}",
    ),
    "directory": ("{path} is not a file, so it cannot start", f"name a program, {_CHANGE}"),
    "mode": ("{path} is not executable", "`COPY --chmod=755`, or RUN chmod, in the Dockerfile"),
    "denied": (
        "the app's user, {user}, may not execute {path}",
        "`COPY --chmod=755`, `COPY --chown`, or another USER in the Dockerfile",
    ),
    "format": (
        "{path} is neither a program nor a script that begins with #!",
        f"begin it with a line such as #!/bin/sh, {_CHANGE}",
    ),
    "machine": (
        "{path} is a program for {other}, and this machine is {own}",
        "build it for {own}: in a RUN of the Dockerfile, or by a cross compiler",
    ),
    "interpreter": (
        "{path} begins with #!{name}{lines}, which the image does not have",
        "COPY or install {name}, or change the first line of the script",
    ),
    "loader": (
        "{path} needs {name}, the loader of its C library, which the image does not have",
        "take a base that has it (ld-musl: Alpine; ld-linux: Debian), or link it statically",
    ),
    "library": (
        "{path} needs the library {name}, which is nowhere where its loader looks for it",
        (
            "install the package that has it ({package}), or, after a COPY --from of a program,"
            " copy its libraries, too, or link it statically; ENV LD_LIBRARY_PATH names a directory"
            " of your own"
        ),
    ),
}
OF_GLIBC = {"libc", "libm", "libdl", "libpthread", "libresolv", "librt", "libutil"}
SONAME = re.compile(r"(?P<name>[a-z0-9+._-]{1,100}?)\.so\.(?P<version>[0-9.]{1,20})", re.IGNORECASE)


def words_of(program: Program, user: int) -> tuple[str, str]:
    """Return why PROGRAM cannot be started by USER, an ID, and what helps."""
    name = visible(program.name)
    values = {
        "path": visible(program.path),
        "name": name,
        "user": user,
        "own": ARCHITECTURES.get(program.here, visible(program.here)),
        "other": ARCHITECTURES.get(program.name, name),
        "lines": " (with the line ends of Windows: save it with those of Unix)"
        if name.endswith("\\r")
        else "",
        "package": _package(program.name, program.here),
    }
    why, fix = PROGRAMS.get(program.problem, ("{path} cannot be started", "`vcr logs --system`"))
    return why.format(**values), fix.format(**values)


def _package(library: str, loader: str) -> str:
    """Say which package has the LIBRARY that a LOADER does not find.

    Debian's policy, 8.1, names it after the library's soname; apk-tools finds it by `so:`.
    """
    name = library.rpartition("/")[2]
    if "ld-musl" in loader:
        return f"Alpine: `apk add so:{visible(name)}`"
    soname = SONAME.fullmatch(name)
    if not soname:
        return "of its distribution"
    stem = soname["name"].lower().replace("_", "-")
    if stem in OF_GLIBC:
        return "Debian: libc6"
    between = "-" if stem[-1].isdigit() else ""
    return f"Debian: {stem}{between}{soname['version']} or a similar name"
