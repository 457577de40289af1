"""What the web room refuses, in both languages."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar, NamedTuple

from trust.problem import Kind, Problem
from web.sentences import Sentence, Value, mark, say


class Worded(NamedTuple):
    """What a surface says of another room's refusal, for `Kit.worded`; "" where nothing helps."""

    cause: Value
    remedy: Value


class WebError(Problem):
    """Root of this package's refusals.

    `said` and `helps` are what a page shows, in the reader's language; the problem's own text is
    their English. An `advice` is marked, so that it is translated. `status` overrides what the
    kind is mapped to, where HTTP knows better.
    """

    code = "web"
    kind = Kind.INVALID
    status: ClassVar[HTTPStatus | None] = None

    def __init__(self, said: Sentence, *, helps: Sentence | None = None, **ids: str) -> None:
        self.said = said
        self.helps = helps or (Sentence(self.advice) if self.advice else None)
        super().__init__(str(said), remedy=str(helps) if helps else "", **ids)


class BadParameter(WebError):
    """A parameter of an address or a form that is unknown, repeated or out of its bounds."""

    code = "bad-parameter"
    advice = mark("correct the parameter it names, or leave it out")

    def __init__(self, name: str, said: Sentence, *, helps: Sentence | None = None) -> None:
        super().__init__(said, helps=helps, parameter=name)


class NoSuchPage(WebError):
    """An address that leads nowhere, or to nothing that the visitor may see."""

    code = "no-such-page"
    kind = Kind.NOT_FOUND
    advice = mark("check the address, or start again from the first page")

    def __init__(self, said: Sentence | None = None) -> None:
        super().__init__(said or say("there is nothing at this address"))


class MethodRefused(WebError):
    """An address that was asked in a way it does not answer to."""

    code = "method-refused"
    advice = mark("open the page and use its form, or read the API's description")
    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self) -> None:
        super().__init__(say("this address does not answer to that kind of request"))


class FormRefused(WebError):
    """A form that is too large, of another type, or that cannot be read."""

    code = "form-refused"
    advice = mark("open the form's page again and send it from there")


class TooManyReaders(WebError):
    """So many pages follow live news that no further one is served."""

    code = "too-many-readers"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = mark("close pages that nobody looks at, or reload this one in a minute")

    def __init__(self) -> None:
        super().__init__(say("too many pages follow live news at the moment"))


class CatalogueRefused(WebError):
    """A catalogue of translations that cannot be read, or that contradicts another one."""

    code = "catalogue-refused"
    kind = Kind.INTERNAL
    advice = "run `python -m web.extraction` on the room and translate what it adds"


class AssetRefused(WebError):
    """A vendored asset that is not what the manifest says, or a brand that cannot be drawn."""

    code = "asset-refused"
    kind = Kind.INTERNAL
    advice = "take the file from its package again, or correct the brand"
