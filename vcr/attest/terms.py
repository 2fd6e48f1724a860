"""What a ladder was built for: name, profile, architecture, engine, its version, epoch.

The terms of `Plan.terms`. Digests of one build say nothing of another: so all that is given
together must have the same terms, those that are demanded, and, unless another is asked
for, the profile of a release.
"""

from collections.abc import Mapping
from typing import Any

from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.model.ladder import MAX_EPOCH
from vcr.model.profile import RELEASES, current_name
from vcr.verify.ladders import IN_MESSAGES, TERMS, WORDS, Claim

type Terms = Mapping[str, str | int]

MAX_WORD = 256  # characters


def read_terms(told: Mapping[str, Any]) -> Terms:
    """Return the terms in TOLD; raises KeyError, TypeError, ValueError."""
    found: dict[str, str | int] = {}
    for key in WORDS:
        word = told[key]
        if not isinstance(word, str) or len(word) > MAX_WORD:
            raise TypeError(f"{key} is not a valid word")
        found[key] = word
    epoch = told["epoch"]
    if type(epoch) is not int or not 0 <= epoch <= MAX_EPOCH:
        raise TypeError("epoch is not a time in seconds")
    profile = current_name(str(found["profile"]))
    return {**found, "profile": profile, "epoch": epoch}


def terms_of(claim: Claim) -> Terms:
    """Return the terms of CLAIM, a ladder as a file; raises TypeError."""
    return read_terms({key: getattr(claim, key) for key in TERMS})


def check_terms(found: Terms, wanted: Terms, whose: str) -> None:
    """Raise RejectedError unless FOUND agrees with all of WANTED, which is WHOSE."""
    for key, value in wanted.items():
        if found[key] != value:
            raise RejectedError(
                Joint.BUILD,
                f"the {IN_MESSAGES.get(key, key)} is not that of {whose}",
                expected=str(value),
                got=str(found[key]),
            )


def check_release(found: Terms) -> None:
    """Raise RejectedError unless FOUND is of a profile that is made to be released."""
    if found["profile"] not in RELEASES:
        raise RejectedError(
            Joint.BUILD,
            f"{found['profile']} is not a release profile:"
            " whoever runs its machine can look into it",
            expected=" or ".join(sorted(RELEASES)),
            got=str(found["profile"]),
            fix="if you want that, use --profile NAME, or profile under [build] of a policy",
        )
