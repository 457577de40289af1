"""Keys, encryption and decryption by stock TenSEAL: the only module that knows it.

TenSEAL is imported when it is first used, so that this module can be imported anywhere.

What TenSEAL does not do, and is done here or around it:
- It adds ciphertexts of different keys without a word, and ciphertexts do not name their key: the
  key epoch is bound by the signed metadata of the partial, never by these bytes.
- `make_context_public` leaves a working decryptor in the process: public contexts here always go
  through bytes that hold the public key and nothing else.
- It accepts empty and unauthenticated ciphertexts: `decrypt` takes checked Residues only.
- It prints and splits when a vector is too long, and repeats a short one over all slots: the
  vector given here always has exactly one value per slot.
- Every context starts a thread per core: one thread, and one context per key, kept by whoever
  encrypts or decrypts.
- Its randomness comes from SEAL's own generator, seeded by the system; it cannot be injected.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protection.ckks import quarter_turn, residues
from protection.ckks.compression import expand_zstd
from protection.ckks.errors import (
    CkksError,
    EncryptionFailed,
    KeyMaterialRefused,
    PartialMisshapen,
    PartialTooLarge,
    TensealMissing,
)
from protection.ckks.packing import Decrypted
from protection.ckks.profile import Profile
from protection.ckks.residues import Residues
from protection.products import factors_of
from trust.documents.rules import ReleaseRules

# Public key of PRODUIT with relinearisation keys: 1,859,260 bytes; ours goes without them.
MAXIMUM_KEY_BYTES = 1 << 20
_THREADS = 1
_REMEDY = "install cadastre[encrypted] on keyholders and on workers that take encrypted campaigns"
# SEAL turns slots by powers of its generator: X becomes X^(3^steps).
_ROTATION_ROOT = 3
# What TenSEAL's bindings raise: ValueError and RuntimeError by std:: exceptions, TypeError and
# OverflowError by pybind11.
_TENSEAL_ERRORS = (ValueError, RuntimeError, TypeError, OverflowError)


@dataclass(frozen=True)
class KeyPair:
    """The bytes of one epoch's keys. `secret` never appears in `repr`, logs or errors.

    Nothing in Python or SEAL wipes memory: a process that held a secret key ends with its epoch,
    and never dumps core.
    """

    profile: Profile
    public: bytes
    secret: bytes = field(repr=False)


def generate(profile: Profile) -> KeyPair:
    """Fresh keys of one epoch, from the system's randomness. Raises TensealMissing."""
    tenseal = _tenseal()
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS,
        profile.degree,
        coeff_mod_bit_sizes=list(profile.coefficient_bits),
        n_threads=_THREADS,
    )
    context.global_scale = profile.scale
    return KeyPair(
        profile, _exported(context, secret=False), secret=_exported(context, secret=True)
    )


class Encryptor:
    """One epoch's public key, ready to encrypt. Keep one per key: loading costs milliseconds."""

    def __init__(self, profile: Profile, public: bytes) -> None:
        """Of bytes whose digest signed metadata names: they carry no proof of whose key they are.

        Raises KeyMaterialRefused, TensealMissing.
        """
        self._profile = profile
        self._tenseal = _tenseal()
        self._context = _loaded(self._tenseal, profile, public)
        if self._context.has_secret_key() or not self._context.has_public_key():
            # Never the other way round: a secret key here means that the epoch is lost.
            raise KeyMaterialRefused(
                "the bytes are not a public key alone",
                remedy="have the keyholder publish the epoch's public key again; if it published "
                "a secret key, retire the epoch",
            )
        _probe(self.encrypt, profile)

    def encrypt(self, slots: NDArray[np.float64]) -> Residues:
        """A fresh ciphertext of `slots`: float64 whole steps, shape (slots,), as packed.

        Raises PartialMisshapen, PartialTooLarge, EncryptionFailed.
        """
        profile = self._profile
        if slots.shape != (profile.slots,) or slots.dtype != np.float64:
            raise PartialMisshapen(f"a packed vector has {profile.slots} float64 slots")
        if not (np.abs(slots) < float(1 << profile.input_bits)).all():  # also refuses NaN
            raise PartialTooLarge(
                f"a slot is not a number under 2^{profile.input_bits}",
                remedy="spread the cohort over more workers, or write a coarser step",
            )
        try:
            vector = self._tenseal.ckks_vector(self._context, slots.tolist())
            written: bytes = vector.serialize()
        except _TENSEAL_ERRORS:
            # The cause is dropped on purpose: its text could quote a value.
            raise EncryptionFailed("TenSEAL did not encrypt the packed partial") from None
        return residues.parse(written, profile, expand=expand_zstd)


class Decryptor:
    """One epoch's secret key, ready to decrypt. Lives in the keyholder's process only."""

    def __init__(self, profile: Profile, secret: bytes) -> None:
        """Raises KeyMaterialRefused, TensealMissing."""
        self._profile = profile
        self._tenseal = _tenseal()
        self._context = _loaded(self._tenseal, profile, secret)
        if not self._context.has_secret_key():
            raise KeyMaterialRefused(
                "the bytes hold no secret key", remedy="repeat the ceremony with its own shares"
            )
        zero = np.zeros((2, len(profile.data_primes), profile.degree), np.uint64)
        zero[1] = 1  # a wholly zero ciphertext is refused by SEAL as transparent
        _probe(lambda _: self.decrypt(Residues.checked(profile, zero)), profile)

    def open(self, ciphertext: Residues, rules: tuple[ReleaseRules, ...]) -> Decrypted:
        """What `rules` let anybody decrypt of a sum: its slots, or the product of its factors.

        Raises EncryptionFailed, CiphertextForeign, RuleRefused.
        """
        factors = factors_of(rules)
        if factors is None:
            return self.decrypt(ciphertext)
        return self.decrypt_product(ciphertext, math.prod(factors[0].shape))

    def decrypt_product(self, ciphertext: Residues, cells: int) -> Decrypted:
        """The raw slots of a sum times itself turned round by `cells`; the sum stays encrypted.

        The keys for it are made here and end with the call: nobody else could multiply, since
        what they hold is masked. Raises EncryptionFailed, KeyMaterialRefused.
        """
        if self._profile.multiplications != 1 or not 0 < cells < self._profile.slots:
            raise KeyMaterialRefused(
                f"the profile {self._profile.name} does not multiply {cells} slots",
                remedy="open products under the profile that the vote's rules ask for",
            )
        written = residues.write(ciphertext)
        try:
            api = importlib.import_module("tenseal.sealapi")
            sums = self._tenseal.ckks_vector_from(self._context, written).ciphertext()[0]
            parameters = self._context.seal_context().data
            secret = self._context.secret_key().data
            maker, evaluator = api.KeyGenerator(parameters, secret), api.Evaluator(parameters)
            turning, relinearising = api.GaloisKeys(), api.RelinKeys()
            element = pow(_ROTATION_ROOT, cells, 2 * self._profile.degree)
            maker.create_galois_keys([element], turning)
            maker.create_relin_keys(relinearising)
            turned, product, plain = api.Ciphertext(), api.Ciphertext(), api.Plaintext()
            evaluator.rotate_vector(sums, cells, turning, turned)
            evaluator.multiply(sums, turned, product)
            evaluator.relinearize_inplace(product, relinearising)
            evaluator.rescale_to_next_inplace(product)
            api.Decryptor(parameters, secret).decrypt(product, plain)
            values = np.array(api.CKKSEncoder(parameters).decode_complex(plain), np.complex128)
        except _TENSEAL_ERRORS:
            raise EncryptionFailed("TenSEAL did not multiply or decrypt the sum") from None
        return Decrypted(values.real.copy(), values.imag.copy())

    def decrypt(self, ciphertext: Residues) -> Decrypted:
        """The raw slots of a sum: for `packing.unpack`, and for nobody's eyes.

        Raises EncryptionFailed, CiphertextForeign.
        """
        real = self._real_part(ciphertext)
        return Decrypted(real, self._real_part(quarter_turn.turned(ciphertext)))

    def _real_part(self, ciphertext: Residues) -> NDArray[np.float64]:
        written = residues.write(ciphertext)
        try:
            vector = self._tenseal.ckks_vector_from(self._context, written)
            values: list[float] = vector.decrypt()
        except _TENSEAL_ERRORS:
            raise EncryptionFailed("TenSEAL did not decrypt the sum") from None
        return np.array(values, np.float64)


def _tenseal() -> Any:
    # TenSEAL has no types; this module is where that ends.
    try:
        return importlib.import_module("tenseal")
    except ImportError as error:
        raise TensealMissing("TenSEAL is not installed here", remedy=_REMEDY) from error


def _exported(context: Any, *, secret: bool) -> bytes:
    written: bytes = context.serialize(
        save_public_key=not secret,
        save_secret_key=secret,
        save_galois_keys=False,
        save_relin_keys=False,
    )
    return written


def _loaded(tenseal: Any, profile: Profile, written: bytes) -> Any:
    if not 0 < len(written) <= MAXIMUM_KEY_BYTES:
        raise KeyMaterialRefused(f"{len(written)} bytes are no CKKS key")
    try:
        context = tenseal.context_from(written, n_threads=_THREADS)
        scale = context.global_scale
    except _TENSEAL_ERRORS:
        # Not chained: TenSEAL's text could quote key bytes.
        raise KeyMaterialRefused(
            "TenSEAL does not read the bytes as a key", remedy="fetch the key again"
        ) from None
    if scale != profile.scale:
        raise _foreign(profile)
    return context


def _probe(use: Any, profile: Profile) -> None:
    """Use a key once: its ciphertexts carry the parameters, which must be the profile's."""
    try:
        use(np.zeros(profile.slots, np.float64))
    except CkksError as error:
        raise _foreign(profile) from error


def _foreign(profile: Profile) -> KeyMaterialRefused:
    return KeyMaterialRefused(
        f"the key does not belong to the profile {profile.name}",
        remedy="use the key of the campaign's own epoch",
    )
