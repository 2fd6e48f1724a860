"""What stands for gcr.io/distroless/*: images that are made of a few Debian packages, no shell.

https://github.com/GoogleContainerTools/distroless: a name may end in -debian12 and the like, and a
tag have `nonroot` or `debug` in it.
"""

import re
from dataclasses import replace

from vcr.lock.suggested.section import Suggestion, image

HOST = "gcr.io/distroless/"
_NONROOT = 65532
_SUITE = re.compile(r"-debian\d+$")
_NUMBER = re.compile(r"\d+$")
_STATIC = ("base-files", "ca-certificates", "netbase", "tzdata")
_BASE = (*_STATIC, "libc6", "libssl3t64")
_CC = (*_BASE, "libgcc-s1", "libstdc++6")
_USERS = {"nonroot": _NONROOT}
# by their names without the version at the end: python3, java21
_IMAGES = {
    "static": image(*_STATIC, shell=False, users=_USERS),
    "base": image(*_BASE, shell=False, users=_USERS),
    "base-nossl": image(*_STATIC, "libc6", shell=False, users=_USERS),
    "cc": image(*_CC, shell=False, users=_USERS),
    "python": image(*_CC, "python3", shell=False, entrypoint=("/usr/bin/python3",), users=_USERS),
    "java": image(
        *_CC,
        "default-jre-headless",
        shell=False,
        entrypoint=("/usr/bin/java", "-jar"),
        env={"JAVA_HOME": "/usr/lib/jvm/default-java", "LANG": "C.UTF-8"},
        users=_USERS,
    ),
    "nodejs": image(
        *_CC,
        "nodejs",
        shell=False,
        entrypoint=("/nodejs/bin/node",),
        links={"/nodejs/bin/node": "/usr/bin/node"},
        users=_USERS,
    ),
}


def distroless(name: str, tag: str) -> Suggestion | None:
    """Return what stands for gcr.io/distroless/NAME:TAG, None if that is not known."""
    found = _IMAGES.get(_NUMBER.sub("", _SUITE.sub("", name)))
    if found is None:
        return None
    words = tag.split("-")
    packages = (*found.packages, *(("busybox",) if "debug" in words else ()))
    user = {"user": "nonroot", "workdir": "/home/nonroot"} if "nonroot" in words else {}
    return replace(found, packages=packages, keys={**user, **found.keys})
