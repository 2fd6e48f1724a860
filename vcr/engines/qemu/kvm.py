"""Whether KVM runs guests here: tried, for there are hosts whose /dev/kvm starts none.

https://www.kernel.org/doc/html/latest/virt/kvm/api.html
"""

from collections.abc import Sequence
from functools import cache

from vcr import process
from vcr.errors import VcrError

SECONDS = 3.0  # a kernel that finds no root ends after a fraction of one


@cache
def runs_guests(without_root: Sequence[str]) -> bool:
    """Return whether the argv WITHOUT_ROOT, of a machine that ends by itself, comes to its end."""
    try:
        return process.run(without_root, ok=None, timeout=SECONDS).returncode == 0
    except VcrError:
        return False
