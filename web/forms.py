"""Forms as pages send them: urlencoded, bounded, every field once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from web.errors import BadParameter, FormRefused
from web.sentences import say

MEDIA_TYPE = "application/x-www-form-urlencoded"
LARGEST = 256 * 1024  # bytes of a whole form: a pasted proof with its checkpoint is a tenth of it
MOST_FIELDS = 100


@dataclass(frozen=True)
class Form:
    """What was sent, by field."""

    fields: Mapping[str, str]

    def text(self, name: str, *, least: int = 0, most: int = 500) -> str:
        """A field without its outer spaces, "" when it was left out. Raises BadParameter."""
        found = self.fields.get(name, "").strip()
        if not least <= len(found) <= most:
            raise BadParameter(
                name,
                say("“{name}” has between {least} and {most} letters", name=name, least=least,
                    most=most),
            )  # fmt: skip
        return found

    def confirmed(self, name: str, word: str) -> None:
        """Raises BadParameter unless the field holds exactly the word that was asked for."""
        if self.text(name) != word:
            raise BadParameter(
                name,
                say("to confirm, type “{word}” exactly", word=word),
                helps=say("type the word as it is shown beside the field; nothing was done"),
            )


async def read(request: Request, largest: int = LARGEST) -> Form:
    """The form of a POST. Raises FormRefused.

    Called in an `async def` route (or in middleware); Starlette keeps the body, so that sign-in
    and the page may both read it.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        raise FormRefused(say("a form is sent as {kind}", kind=MEDIA_TYPE))
    return parse(await _body(request, largest))


def parse(body: bytes) -> Form:
    """The fields of a urlencoded body. Raises FormRefused."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:  # UnicodeError is one
        raise FormRefused(say("the form cannot be read")) from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise FormRefused(say("the form has a field twice"))
    return Form(fields)


async def _body(request: Request, largest: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > largest:
        raise FormRefused(say("the form is larger than {most} bytes", most=largest))
    kept = getattr(request, "_body", None)  # as Starlette itself keeps what was read
    if kept is not None:
        return bytes(kept)
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > largest:
                raise FormRefused(say("the form is larger than {most} bytes", most=largest))
            parts.append(part)
    except ClientDisconnect as error:
        raise FormRefused(say("the form did not arrive whole")) from error
    body = b"".join(parts)
    request._body = body  # noqa: SLF001 - where Request.body() looks before it reads
    return body
