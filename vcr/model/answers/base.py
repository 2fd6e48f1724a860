"""What answers have in common."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """An answer or a part of one: nothing but its fields is in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    verb: ClassVar[str] = ""  # what prints it; "" for a part of one
