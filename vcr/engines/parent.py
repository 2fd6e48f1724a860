"""The signal that a process gets when its parent ends: prctl(2)."""

import ctypes
import signal

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG = 1, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send BY to this process when its parent ends."""
    _LIBC.prctl(PR_SET_PDEATHSIG, by)


def death_signal() -> int:
    """Return the signal this process gets when its parent ends, 0 for none."""
    number = ctypes.c_int()
    _LIBC.prctl(PR_GET_PDEATHSIG, ctypes.byref(number))
    return number.value
