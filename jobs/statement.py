"""An author vouches for a bundle's exact bytes: the `.cadastre.sig` beside the `.cadastre`."""

from __future__ import annotations

from jobs.archive import Bundle
from jobs.errors import BundleUnverified
from trust.clock import Clock
from trust.documents import signed
from trust.documents.membership import BundleStatement
from trust.documents.signed import Signed
from trust.keys import PrivateKey

SUFFIX = ".sig"


def sign(bundle: Bundle, key: PrivateKey, clock: Clock) -> Signed[BundleStatement]:
    """The author's statement; its envelope's bytes are the `.sig` file."""
    statement = BundleStatement(
        bundle=bundle.digest,
        manifest=bundle.manifest_digest,
        name=bundle.manifest.bundle.name,
        version=bundle.manifest.bundle.version,
        author=key.public,
        signed_at=clock.now(),
    )
    return signed.sign(statement, [key])


def verify(bundle: Bundle, raw: bytes) -> Signed[BundleStatement]:
    """The statement in the `.sig` bytes `raw`, once it is about `bundle`.

    Says that the key named in it signed, not that this key is anybody's in particular. Raises
    Malformed, WrongType, SignatureInvalid or BundleUnverified.
    """
    statement = signed.verify_self_named(BundleStatement, raw, "author")
    claimed, about = statement.document, bundle.manifest.bundle
    if (claimed.bundle, claimed.manifest, claimed.name, claimed.version) != (
        bundle.digest,
        bundle.manifest_digest,
        about.name,
        about.version,
    ):
        raise BundleUnverified(
            f"the signature is about {claimed.name[:80]} {claimed.version[:20]} with the digest "
            f"{claimed.bundle}, this bundle is {about.name} {about.version} with {bundle.digest}",
            remedy="ask the author for the signature of exactly this file",
        )
    return statement
