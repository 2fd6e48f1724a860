"""Who asked for a document of an enclave: the domains of its `user_data`.

The loader in the enclave (guest/loader/document.go) writes a domain, which ends with a
newline, and behind it the bytes that were given. It writes no other and lets nobody else
write one, so a document of the parent is never one of the app.
"""

PARENT = b"vcr parent v1\n"  # whoever is outside: it says nothing of who is in the enclave
APP = b"vcr app v1\n"  # a process of the app, in the machine
MAX_DATA = 64  # bytes behind a domain; of a nonce, too


def of_parent(data: bytes) -> bytes:
    """Return the user_data of a document that was asked for from outside with DATA."""
    return PARENT + data


def of_app(data: bytes) -> bytes:
    """Return the user_data of a document that the app asked for with DATA."""
    return APP + data
