"""One field of GitHub's JSON at a time: cleaned, bounded, or refused with a reason.

`read_*` functions take a value or an object and a field; those that may refuse raise `PayloadError`, and
nothing here raises anything else. Text is safe to store in PostgreSQL: no NUL, no lone surrogates. Dates are
aware and in UTC.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

NAME_LENGTH: Final = 500
MESSAGE_LENGTH: Final = 10_000
LOGIN_LENGTH: Final = 100
URL_LENGTH: Final = 1_000
BIGINT_MAX: Final = 2**63 - 1

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_SLUG = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


class PayloadError(ValueError):
    """A payload cannot be used.

    ``kind`` is what it should have been ("job"), ``where`` the path of the field inside it
    ("commit.author.date", empty for the whole), ``what`` is wrong with it ("is missing").
    """

    def __init__(self, kind: str, what: str, where: str = "") -> None:
        super().__init__(f"{kind}: {where} {what}" if where else f"{kind} {what}")
        self.kind = kind
        self.what = what
        self.where = where


def clean(text: str, limit: int) -> str:
    """``text`` without NUL and lone surrogates, at most ``limit`` characters; a cut ends in an ellipsis."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii():
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def as_object(data: object, kind: str) -> dict[str, Any]:
    """``data`` itself, if it is a JSON object."""
    if isinstance(data, dict):
        return data
    raise PayloadError(kind, f"is not a JSON object but {shown(data)}")


def as_dict(value: object) -> dict[str, Any]:
    """``value``, or an empty object in its place."""
    return value if isinstance(value, dict) else {}


def inside(data: dict[str, Any], field: str) -> dict[str, Any]:
    """The object in a field, or an empty one in its place."""
    value = data.get(field)
    return value if isinstance(value, dict) else {}


def read_text(value: object, limit: int) -> str:
    """Text, cleaned; "" for anything else."""
    if type(value) is not str:
        return ""
    if len(value) <= limit and value.isascii() and "\0" not in value:
        return value
    return clean(value, limit)


def read_name(data: dict[str, Any], field: str, kind: str) -> str:
    """Text, cleaned, that must not be empty."""
    text = read_text(data.get(field), NAME_LENGTH)
    return text if text and not text.isspace() else refuse(data.get(field), field, kind, "a name")


def read_exact_name(data: dict[str, Any], field: str, kind: str) -> str:
    """A name that is used to ask GitHub again: a cleaned or cut one would name something else."""
    value = data.get(field)
    if type(value) is str and value and clean(value, NAME_LENGTH) == value:
        return value
    return refuse(value, field, kind, "a name")


def read_slug(value: object, field: str, kind: str) -> str:
    """A name as GitHub allows it for owners and repositories, safe in a path."""
    if type(value) is str and _SLUG.match(value) and value not in (".", ".."):
        return value
    return refuse(value, field, kind, "a name of letters, digits, dots and dashes")


def read_sha(value: object, field: str, kind: str) -> str:
    """A full sha, lower case, SHA-1 or SHA-256."""
    if type(value) is str and _SHA.match(value):
        return value
    return refuse(value, field, kind, "a full commit sha")


def read_id(data: dict[str, Any], field: str, kind: str) -> int:
    """An id of GitHub's: positive, and fits a BIGINT."""
    value = data.get(field)
    if type(value) is int and 0 < value <= BIGINT_MAX:
        return value
    return refuse(value, field, kind, "a positive whole number")


def optional_id(value: object) -> int | None:
    """The same, or None for anything else."""
    return value if type(value) is int and 0 < value <= BIGINT_MAX else None


def read_url(value: object) -> str:
    """A link that a page may use, or ""."""
    # A cut link leads somewhere else, so a link that is too long is no link.
    if type(value) is not str or len(value) > URL_LENGTH:
        return ""
    return read_text(value, URL_LENGTH) if value.startswith(("https://", "http://")) else ""


def read_date(value: object) -> datetime | None:
    """A date between 2000 and 2100 in UTC, or None."""
    if type(value) is not str:
        return None
    try:
        date = datetime.fromisoformat(value)
        if 2000 <= date.year <= 2100:
            if date.tzinfo is UTC:
                return date
            # GitHub speaks UTC; a date that names no zone is taken as such.
            date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
            return date if 2000 <= date.year <= 2100 else None
    except ValueError:
        pass
    return None


def required_date(data: dict[str, Any], field: str, kind: str) -> datetime:
    """The same, but it must be there."""
    value = data.get(field)
    date = read_date(value)
    return date if date is not None else refuse_date(value, field, kind)


def refuse_date(value: object, field: str, kind: str) -> NoReturn:
    """Raises for a date."""
    refuse(value, field, kind, "a date between 2000 and 2100")


def refuse(value: object, field: str, kind: str, wanted: str) -> NoReturn:
    """Raises: ``field`` is missing, or is not what is ``wanted``."""
    what = "is missing" if value is None else f"is not {wanted} but {shown(value)}"
    raise PayloadError(kind, what, field)


def shown(value: object) -> str:
    """A value as an error message may show it: short, on one line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return "a huge number"
    if isinstance(value, str):
        return clean(repr(value if len(value) <= 60 else value[:59] + "…"), 300)
    return repr(value)
