"""How old what is verified may be; nothing may come from the future."""

import datetime as dt

from vcr.attest.checks.rejected import Joint, RejectedError, demand

SKEW_SECONDS = 60  # by how much the clock of who made it may be ahead


def check_age(made: dt.datetime | None, max_age: float | None, at: dt.datetime) -> None:
    """Raise RejectedError unless what was MADE then is at most MAX_AGE seconds old AT that time.

    MADE is None when it does not say: that is as old as can be. MAX_AGE of None allows any age.
    """
    if made is None:
        demand(
            max_age is None, Joint.AGE, "it does not say when it was made, so its age is unknown"
        )
        return
    age = (at - made).total_seconds()
    demand(age >= -SKEW_SECONDS, Joint.AGE, f"it is from the future, by {-age:.0f} s")
    if max_age is not None and age > max_age:
        raise RejectedError(
            Joint.AGE,
            f"it is {age:.0f} s old; at most {max_age:g} s are allowed",
            fix="get a new one; --at verifies at another time",
        )
