"""apt: which Debian mirrors is this host set up to reach?

Only ever used to find where to read from. Addresses of mirrors are never
written to a lock, and what comes from them is verified like anything else.
"""

import re
import shutil
from pathlib import Path

from vcr import process

SOURCES = Path("/etc/apt")
_URI = re.compile(r"(?:^URIs:|^deb\s+(?:\[[^\]]*\]\s*)?)\s*(https?://\S+)", re.MULTILINE)


def mirrors(sources: Path = SOURCES) -> tuple[str, ...]:
    """Return the base addresses in apt's configuration, without duplicates, in order."""
    found: list[str] = []
    if sources == SOURCES and shutil.which("apt-get"):
        argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
        found = process.run(argv, ok=None).text.splitlines()
    if not found:
        for path in (sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))):
            if path.is_file():
                found += _URI.findall(path.read_text(errors="replace"))
    return tuple(dict.fromkeys(uri.rstrip("/") for uri in found if uri.startswith("http")))
