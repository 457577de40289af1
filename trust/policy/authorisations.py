"""Policies about what the college voted: the bundle, its rules, tables, parameters, images."""

from __future__ import annotations

from dataclasses import dataclass

from trust.documents import signed
from trust.documents.membership import BundleStatement
from trust.errors import TrustError
from trust.policy.errors import (
    AuthorisationExpired,
    AuthorisationMismatch,
    AuthorisationNotYet,
    BundleUnsigned,
    ImageNotPermitted,
    ParametersRefused,
    RulesDiffer,
    TablesExceeded,
)
from trust.policy.parameters import parse_parameters, require_within
from trust.policy.request import Held, RunRequest


@dataclass(frozen=True)
class BundleSigned:
    """An author vouches for exactly these bytes and this manifest."""

    def require(self, request: RunRequest) -> Held:
        facts = request.facts
        try:
            statement = signed.verify_self_named(BundleStatement, request.statement, "author")
        except TrustError as error:
            raise BundleUnsigned(
                f"the author's statement does not verify: {error.sentence}",
                remedy="the author signs the bundle with `cadastre bundle sign`",
                bundle=facts.bundle,
            ) from error
        document = statement.document
        if document.bundle != facts.bundle or document.manifest != facts.manifest:
            raise BundleUnsigned(
                f"the author signed bundle {document.bundle}, at hand is {facts.bundle}",
                remedy="the statement is another bundle's: submit the matching one",
                bundle=facts.bundle,
            )
        return Held("bundle-signed", f"author {document.author.keyid}")


@dataclass(frozen=True)
class AuthorisationCurrent:
    """A threshold of the college authorised this bundle, and its window is open."""

    def require(self, request: RunRequest) -> Held:
        vote = request.verified_authorisation.document
        pairs = (
            ("id", vote.id, request.order.authorisation),
            ("territory", vote.territory, request.root.document.territory),
            ("bundle", vote.bundle, request.facts.bundle),
            ("manifest", vote.manifest, request.facts.manifest),
        )
        for name, voted, found in pairs:
            if voted != found:
                raise AuthorisationMismatch(
                    f"the authorisation's {name} is {voted[:80]}, here it is {found[:80]}",
                    remedy="the college authorised something else; it would have to vote on this",
                    authorisation=vote.id,
                )
        if request.now < vote.not_before:
            raise AuthorisationNotYet(
                f"the authorisation begins at {vote.not_before:%Y-%m-%d %H:%M} UTC",
                remedy="wait until then, and check this machine's clock",
                authorisation=vote.id,
            )
        if request.now >= vote.not_after:
            raise AuthorisationExpired(
                f"the authorisation ended at {vote.not_after:%Y-%m-%d %H:%M} UTC",
                remedy="the college may vote a new one; check this machine's clock",
                authorisation=vote.id,
            )
        return Held("authorisation-current", f"authorisation {vote.id}")


@dataclass(frozen=True)
class RulesMatch:
    """The manifest's release rules are the voted ones, and its tables are among the voted ones."""

    def require(self, request: RunRequest) -> Held:
        vote, facts = request.verified_authorisation.document, request.facts
        voted = {rule.output: rule for rule in vote.rules}
        found = {rule.output: rule for rule in facts.rules}
        if voted != found or len(vote.rules) != len(voted) or len(facts.rules) != len(found):
            changed = sorted(
                name for name in voted.keys() | found.keys() if voted.get(name) != found.get(name)
            )
            raise RulesDiffer(
                f"the release rules of {', '.join(changed)[:200] or 'an output'} differ from the "
                "voted ones",
                remedy="the college votes on the manifest's exact rules: draft the authorisation "
                "from this bundle",
                authorisation=vote.id,
            )
        for table, columns in facts.tables.items():
            missing = set(columns) - set(vote.tables.get(table, ()))
            if table not in vote.tables or missing:
                raise TablesExceeded(
                    f"table {table}: {', '.join(sorted(missing))[:200] or 'it'} was not voted",
                    remedy="the college would have to authorise these columns",
                    authorisation=vote.id,
                )
        return Held("rules-match", f"{len(voted)} outputs as voted")


@dataclass(frozen=True)
class ParametersWithin:
    """Every parameter is bounded by the vote and by the manifest, and lies inside both.

    A blob that carries a state carries the number of its round, which must be the ordered one.
    """

    def require(self, request: RunRequest) -> Held:
        vote = request.verified_authorisation.document
        found = parse_parameters(request.parameters)
        require_within(found.settings, vote.bounds)
        require_within(found.settings, request.facts.bounds)
        if found.state is not None and found.round != request.order.round:
            raise ParametersRefused(
                f"the parameters are those of round {found.round}, ordered is round "
                f"{request.order.round}",
                remedy="tell the scheduler's operator: it mixed up two rounds",
                campaign=request.order.campaign,
            )
        return Held("parameters-within", f"{len(vote.bounds)} bounded parameters")


@dataclass(frozen=True)
class ImagePermitted:
    """The runtime image of this worker is one that the college named."""

    def require(self, request: RunRequest) -> Held:
        vote = request.verified_authorisation.document
        if request.image not in vote.images:
            raise ImageNotPermitted(
                f"this worker runs image {request.image}, which was not voted",
                remedy="install a runtime release that the authorisation names, or ask the "
                "college to admit this one (`cadastre worker image` prints it)",
                authorisation=vote.id,
            )
        return Held("image-permitted", f"image {request.image}")
