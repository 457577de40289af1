"""What sign-in refuses, in both languages.

What a stranger presents is either good or it is refused in the same words: nobody learns whether
a token is unknown, forged, used or over.
"""

from __future__ import annotations

from http import HTTPStatus

from trust.problem import Kind
from web.errors import WebError
from web.sentences import Sentence, mark, say


class SignInError(WebError):
    """Root of what sign-in refuses."""

    code = "sign-in"
    kind = Kind.REFUSED


class NotSignedIn(SignInError):
    """A page or a call for people who are signed in, asked for by nobody in particular."""

    code = "not-signed-in"
    status = HTTPStatus.UNAUTHORIZED
    advice = mark("sign in and open the page again; a program sends its token as a Bearer")

    def __init__(self) -> None:
        super().__init__(say("this is for people who are signed in"))


class RoleMissing(SignInError):
    """A page or an action for another role than the visitor has."""

    code = "role-missing"
    status = HTTPStatus.FORBIDDEN
    advice = mark("ask whoever administers this machine for the role, or sign in as somebody else")

    def __init__(self) -> None:
        super().__init__(say("your roles do not open this"))


class SignInStale(SignInError):
    """Something delicate, asked for long after the person last proved who they are."""

    code = "sign-in-stale"
    status = HTTPStatus.FORBIDDEN
    advice = mark("sign in again and repeat it within a quarter of an hour")

    def __init__(self) -> None:
        super().__init__(say("this needs a sign-in of the last 15 minutes"))


class SignInRefused(SignInError):
    """A token or key that is unknown, forged, used, taken back or over: never said which."""

    code = "sign-in-refused"
    status = HTTPStatus.FORBIDDEN
    advice = mark("copy it again, whole; if it stays refused, ask for a new one")

    def __init__(self) -> None:
        super().__init__(say("this token or key does not open anything"))


class SignInLost(SignInError):
    """A return from the identity provider that this browser did not set out for, or not lately."""

    code = "sign-in-lost"
    status = HTTPStatus.FORBIDDEN
    advice = mark("start again from the sign-in page, in this browser and with cookies allowed")

    def __init__(self) -> None:
        super().__init__(
            say("this sign-in was not begun in this browser, was used already, or took too long")
        )


class IssuerDeclined(SignInError):
    """The identity provider did not let the person through."""

    code = "issuer-declined"
    status = HTTPStatus.FORBIDDEN
    advice = mark("start again from the sign-in page, or ask whoever runs the identity provider")

    def __init__(self) -> None:
        super().__init__(say("the identity provider did not sign you in"))


class IssuerAnswerRefused(SignInError):
    """An answer of the identity provider that does not verify: signature, names, times or form."""

    code = "issuer-answer-refused"
    kind = Kind.UNVERIFIED
    status = HTTPStatus.BAD_GATEWAY
    advice = mark("tell whoever administers this machine: its log names the check that failed")

    def __init__(self, check: str) -> None:
        """`check` names what failed in our own words, for the log; nothing of the answer."""
        super().__init__(say("the identity provider's answer does not hold"))
        self.check = check


class IssuerUnreachable(SignInError):
    """The identity provider does not answer, or too many people are signing in at once."""

    code = "issuer-unreachable"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = mark("try again in a minute; if it stays so, tell whoever administers this machine")

    def __init__(self, check: str) -> None:
        super().__init__(say("the identity provider does not answer"))
        self.check = check


class NoRole(SignInError):
    """Somebody whom the identity provider knows and this territory gave no role."""

    code = "no-role"
    status = HTTPStatus.FORBIDDEN
    advice = mark("ask whoever gives the roles here for one, then sign in again")

    def __init__(self, contact: str) -> None:
        super().__init__(
            say("you are known, but nobody gave you a role here"),
            helps=say("ask {contact} for a role, then sign in again", contact=contact),
        )


class TooManyTries(SignInError):
    """More attempts to sign in, from one network or from all, than are answered at a time."""

    code = "too-many-tries"
    kind = Kind.EXHAUSTED
    status = HTTPStatus.TOO_MANY_REQUESTS
    retryable = True
    advice = mark("wait a minute and try again")

    def __init__(self) -> None:
        super().__init__(say("there were too many attempts to sign in"))


class ForgeryRefused(SignInError):
    """A request that changes something and does not show that one of our own pages sent it."""

    code = "forgery-refused"
    status = HTTPStatus.FORBIDDEN
    advice = mark("open the page again and send it from there, with cookies allowed")

    def __init__(self) -> None:
        super().__init__(say("this request does not come from a page of this site"))


class WrongHost(SignInError):
    """A request for another host than the public address that was configured."""

    code = "wrong-host"
    kind = Kind.INVALID
    status = HTTPStatus.MISDIRECTED_REQUEST
    advice = mark("use the address that `cadastre scheduler serve` prints")

    def __init__(self) -> None:
        super().__init__(say("this site does not answer under this host name"))


class TooManySessions(SignInError):
    """As many people are signed in as this machine keeps sessions for."""

    code = "too-many-sessions"
    kind = Kind.EXHAUSTED
    status = HTTPStatus.SERVICE_UNAVAILABLE
    advice = mark("try again later: sessions that nobody uses end within the hour")

    def __init__(self) -> None:
        super().__init__(say("too many people are signed in"))


class TooManyCredentials(SignInError):
    """As many tokens and keys are out as one person, or all together, may have."""

    code = "too-many-credentials"
    kind = Kind.EXHAUSTED
    status = HTTPStatus.CONFLICT
    advice = mark("take back tokens and keys that nobody uses any more")

    def __init__(self) -> None:
        super().__init__(say("there are too many live tokens and keys already"))


class RequestRefused(SignInError):
    """A name, a set of roles or a lifetime that no token can be made with."""

    code = "credential-request-refused"
    kind = Kind.INVALID
    advice = mark("correct the value that the sentence names")

    def __init__(self, said: Sentence) -> None:
        super().__init__(said)


class NoSuchCredential(SignInError):
    """A token, key or session that is not there, or not the visitor's own."""

    code = "no-such-credential"
    kind = Kind.NOT_FOUND
    advice = mark("look at the list again: it may have ended meanwhile")

    def __init__(self) -> None:
        super().__init__(say("there is no such token, key or session of yours"))


class AccessUndeclared(SignInError):
    """A route that does not say who may use it: the program does not start, or does not answer."""

    code = "access-undeclared"
    kind = Kind.INTERNAL
    advice = "give the route `dependencies=[needs(...)]` or `[anybody()]` of web.signin.access"

    def __init__(self, routes: str) -> None:
        super().__init__(say("no access is declared for {routes}", routes=routes))


class ConfigurationRefused(SignInError):
    """A sign-in configuration that cannot be used: the program does not start with it."""

    code = "sign-in-configuration-refused"
    kind = Kind.INVALID
    advice = "correct the file as docs/sign-in.md shows it"

    def __init__(self, said: str) -> None:
        super().__init__(Sentence(said))
