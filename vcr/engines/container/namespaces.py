"""Linux namespaces around a container: made, and given a file system and a loopback.

namespaces(7), user_namespaces(7), mount(2). Everything raises OSError; one whose
`filename` says what was tried.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vcr.engines.container.layers import merge
from vcr.engines.parent import die_with_parent
from vcr.errors import VcrError

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 2, 4, 8, 32, 4096, 16384
MS_PRIVATE = 1 << 18
MS_KEPT = 1 | MS_NOSUID | MS_NOEXEC  # of a mount, what statvfs(3) tells; a user may not take it off
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # netdevice(7)
# As in the machine: an app that is not root may use any port, and ping.
OPENED = {"ip_unprivileged_port_start": "0", "ping_group_range": "0 2147483647"}
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def trying(what: str) -> Iterator[None]:
    """Say in an OSError of the block WHAT was tried."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, what) from None


def report(error: Exception) -> dict[str, str | int]:
    """Say what could not be done on this host; of a VcrError's fields."""
    if isinstance(error, VcrError):
        return {"what": error.what, "why": error.why, "fix": error.fix, "code": error.code}
    if not isinstance(error, OSError) or not error.filename:
        return {"what": f"the container could not be made: {type(error).__name__}: {error}"}
    reason = str(error.strerror)
    if error.errno in {errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS}:
        reason += ": the kernel's settings, a security module or a container around this forbid it"
    return {
        "what": f"this host does not allow containers: cannot {error.filename}",
        "why": reason,
        "fix": "allow user namespaces, become root, or use `--runtime vm`, which needs neither",
    }


def go_on_below_reaper() -> None:
    """Return in a child; this process waits for whatever ends, and ends with that child.

    To be called by the first process of a namespace: it is the parent of whoever's parent has
    ended, and a container does not end before all that was in it was waited for.
    https://man7.org/linux/man-pages/man7/pid_namespaces.7.html
    """
    child = os.fork()
    if child == 0:
        die_with_parent()
        return
    while os.wait()[0] != child:
        pass
    os._exit(0)


def enter_namespaces(write_maps: Callable[[], None]) -> None:
    """Give this process its own users, mounts and, to its children, process IDs.

    Also for root: what it may do then, it may do to this namespace only. WRITE_MAPS fills
    the new one with users.
    """
    with trying("make a user namespace"):
        os.unshare(os.CLONE_NEWUSER)
        write_maps()
    with trying("make a mount and a process namespace"):
        os.unshare(os.CLONE_NEWNS | os.CLONE_NEWPID)


def enter_network() -> None:
    """Give this process a network of its own in which there is a loopback only."""
    with trying("make a network namespace"):
        os.unshare(os.CLONE_NEWNET)
    with trying("bring its loopback up"), socket.socket() as request:
        name = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(request, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(request, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def mount_system() -> None:
    """Keep mounts to this namespace, show its own processes in /proc, open all ports."""
    with trying("keep mounts private"):
        mount("none", "/", "", MS_REC | MS_PRIVATE)
    with trying("mount /proc"):
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    with suppress(OSError):  # crun cares for the host's cgroups even if it is told not to
        mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name, value in OPENED.items():
        with suppress(OSError):
            Path("/proc/sys/net/ipv4", name).write_text(value)


def mount_root(layers: Sequence[Path], scratch: Path) -> str:
    """Lay LAYERS, bottom first, over one another at SCRATCH/root, to be written in SCRATCH.

    Returns how: "overlayfs", or "copied" where this kernel or file system has none for us.
    """
    root = scratch / "root"
    # Names relative to the working directory: the kernel takes one page of options.
    store = layers[0].parents[1]
    lower = ":".join(str(layer.relative_to(store)) for layer in reversed(layers))
    upper, work = (os.open(scratch / name, os.O_PATH) for name in ("upper", "work"))
    # userxattr: trusted.* is for the host's root, who nobody is here
    options = [f"lowerdir={lower}", f"upperdir=/proc/self/fd/{upper}"]
    options += [f"workdir=/proc/self/fd/{work}", "userxattr"]
    os.chdir(store)
    try:
        mount("overlay", str(root), "overlay", MS_NODEV, ",".join(options))
    except OSError:
        merge(layers, root)
        with trying("mount the root"):
            mount(str(root), str(root), "", MS_BIND | MS_REC)
            kept = os.statvfs(root).f_flag & MS_KEPT
            mount("none", str(root), "", MS_REMOUNT | MS_BIND | MS_NODEV | kept)
        return "copied"
    else:
        return "overlayfs"
    finally:
        os.chdir("/")
        os.close(upper)
        os.close(work)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Show SOURCE at TARGET by the system call."""
    words = (source.encode(), target.encode(), kind.encode() or None)
    if _LIBC.mount(*words, ctypes.c_ulong(flags), options.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
