"""Field types that the messages share."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from omniguard.domain.reason import Reason
from omniguard.domain.revision import MAX_REQUEST

TENANT = r"[a-z0-9_-]{1,63}"
PART_ID = r"[A-Za-z0-9._-]{1,64}"
MAX_CONTENT_ID = 256
MAX_VERSION = 2**63 - 1
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Contract(BaseModel):
    """Unknown fields are ignored, so that both sides may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def read_time(value: object) -> datetime:
    """Parse an RFC 3339 time with its offset; return it in UTC.

    Raises:
        PydanticCustomError: anything else, numbers included.

    """
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        if isinstance(value, str) and _RFC3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the shape is right and the date does not exist: the same answer as for a wrong shape
    raise PydanticCustomError("time", "expected an RFC 3339 time with offset, like 2026-11-21T10:00:00Z")


def read_base64(value: object) -> bytes:
    """Decode standard base64 with padding.

    Raises:
        PydanticCustomError: anything else.

    """
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except ValueError:
        pass  # binascii.Error is one; so is a character outside ASCII
    raise PydanticCustomError("base64", "expected standard base64")


Time = Annotated[datetime, BeforeValidator(read_time), WithJsonSchema({"type": "string", "format": "date-time"})]
Base64 = Annotated[bytes, BeforeValidator(read_base64), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Tenant = Annotated[StrictStr, StringConstraints(pattern=f"^{TENANT}$")]
ContentId = Annotated[StrictStr, Field(min_length=1, max_length=MAX_CONTENT_ID)]
ContentVersion = Annotated[StrictInt, Field(ge=0, le=MAX_VERSION)]
Request = Annotated[StrictInt, Field(ge=0, le=MAX_REQUEST)]
PartId = Annotated[StrictStr, StringConstraints(pattern=f"^{PART_ID}$")]
Role = Annotated[StrictStr, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Sha256 = Annotated[StrictStr, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]
_MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}(;.{0,128})?$"


def _media_type(value: str) -> str:
    # Platforms pass on what a user's program named it: no fault of theirs, for which a lane is stopped.
    if re.fullmatch(_MEDIA_TYPE, value) is None:
        raise PydanticCustomError(Reason.UNSUPPORTED.value, "expected a media type such as video/mp4; leave it out where unknown")
    return value


MediaType = Annotated[StrictStr, AfterValidator(_media_type), WithJsonSchema({"type": "string", "pattern": _MEDIA_TYPE})]
