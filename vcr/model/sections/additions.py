"""What [base.NAME] adds to its packages: files, links and users."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field

from vcr.model.sections.values import matching

MAX_ID = (1 << 31) - 1  # as in vcr.formats.users
# No part that leads elsewhere, and none that removes something: whiteouts of the OCI image
# specification 1.1, "layer.md".
_INSIDE = re.compile(r"(?:/(?!\.{1,2}(?:/|$))(?!\.wh\.)[^/\x00-\x1f\x7f]{1,255})+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # useradd(8)

type Inside = Annotated[
    str,
    matching(_INSIDE, "an absolute path such as /etc/app.conf, without `.` and `..`"),
    Field(description="absolute path"),
]
type UserName = Annotated[
    str, matching(_USER, "the name of a user such as app"), Field(description="name of a user")
]
type UserNumber = Annotated[int, Field(ge=1, le=MAX_ID, description="number of a user")]


def check_additions(
    files: Collection[str], links: Mapping[str, str], users: Mapping[str, int]
) -> None:
    """Raise ValueError when one path is below another, or two of them are the same."""
    for path in links:
        if path in files:
            raise ValueError(f"{path} is in files and in links")
        if not links[path]:
            raise ValueError(f"the link {path} leads nowhere")
    for path in files:
        above = next((each for each in files if path.startswith(f"{each}/")), None)
        if above:
            raise ValueError(f"{path} is below {above}, which is a file")
    if len(set(users.values())) < len(users):
        raise ValueError("two users have the same number")
