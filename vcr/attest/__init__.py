"""Statements about what was built, signed, and the proofs of machines that run it.

A statement (in-toto) has the rungs of the digest ladder as its subjects; an envelope
(DSSE) carries it with its signatures; evidence of a provider binds to it. All that reads
is pure and offline, and every rejection names the joint that failed.
"""

from vcr.settings import without_legacy_ciphers

# Before `cryptography` is imported: OpenSSL would look for that module on the host.
without_legacy_ciphers()
