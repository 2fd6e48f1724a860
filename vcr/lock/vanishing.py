"""Which answers of a lock may be nowhere before long but in the cache of this host.

The lock holds an answer itself only if it is small, and names the address of one that stays
there. Of the others it has a hash, and an address that may have another file tomorrow.
"""

import re
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator

from vcr.lock.sources import is_permanent
from vcr.model.lockfile import Lock, LockedBody
from vcr.ui import human_size
from vcr.words import counted

# A repository of Alpine has the newest version of each package only, under these names on every
# mirror: https://wiki.alpinelinux.org/wiki/Package_management
ALPINE = re.compile(
    r"https?://[^/]+/(?:.*/)?(?:v\d+\.\d+|edge|latest-stable)/[^/]+/[^/]+/[^/]+\.apk"
)


def vanishing(lock: Lock) -> Iterator[str]:
    """Yield, for each host, what to know of its answers that LOCK has only the hash of."""
    found: dict[tuple[str, bool], list[LockedBody]] = defaultdict(list)
    for body in lock.bodies.values():
        if body.size and not body.data and not (body.url and is_permanent(body.url)):
            host = urllib.parse.urlsplit(body.url).hostname or ""
            found[host, ALPINE.fullmatch(body.url) is not None].append(body)
    for (host, is_alpine), bodies in sorted(found.items()):
        size = human_size(sum(body.size for body in bodies))
        files = f"{counted(len(bodies), 'file')} ({size})"
        if is_alpine:
            why = f"Alpine keeps no old packages: {files} of {host}"
        elif host:
            why = f"what {host} has may change: {files}"
        else:
            why = f"no address has them: {files}"
        yield (
            f"{why} may soon be only in this host's cache; keep them with"
            " `vcr lock --export DIR`, and build elsewhere with VCR_FROM=DIR"
        )
