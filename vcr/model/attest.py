"""[attest] of vcr.toml: the service that statements are given to."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vcr.model.url import check_url


class AttestSection(BaseModel):
    """What `vcr attest --provider command` asks: a program, or an address."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    command: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="a program that gets the envelope on stdin, if `--service` names it, too",
    )
    url: str = Field(default="", description="an address to which vcr posts the envelope")

    @model_validator(mode="after")
    def _one_service(self) -> "AttestSection":
        if self.command and self.url:
            raise ValueError("give either command or url, not both")
        if self.url:
            check_url(self.url)
        return self
