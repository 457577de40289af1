import pytest

from trust.entropy import seeded
from trust.errors import KeyRefused, SignatureInvalid
from trust.keys import PrivateKey, PublicKey

pytestmark = pytest.mark.base

# RFC 8032 section 7.1, TEST 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_the_vector_of_rfc_8032_holds() -> None:
    key = PrivateKey(SEED)
    assert key.public.raw == PUBLIC
    assert key.sign(b"\x72") == SIGNATURE
    key.public.verify(b"\x72", SIGNATURE)


def test_another_message_or_a_flipped_bit_is_refused() -> None:
    public = PublicKey(PUBLIC)
    with pytest.raises(SignatureInvalid):
        public.verify(b"\x73", SIGNATURE)
    for bit in range(0, 512, 37):
        flipped = bytearray(SIGNATURE)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureInvalid):
            public.verify(b"\x72", bytes(flipped))


@pytest.mark.parametrize(
    "raw",
    [
        bytes([1]) + bytes(31),  # the neutral element: pyca accepts signatures under it
        bytes(32),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        b"short",
    ],
)
def test_small_order_and_malformed_keys_are_refused(raw: bytes) -> None:
    with pytest.raises(KeyRefused):
        PublicKey(raw)


def test_the_text_form_is_canonical() -> None:
    public = PrivateKey.generate(seeded(b"k")).public
    assert PublicKey.parse(str(public)) == public
    with pytest.raises(KeyRefused):
        PublicKey.parse(str(public) + "=")
    with pytest.raises(KeyRefused):
        PublicKey.parse("rsa:AAAA")


def test_a_seed_is_never_shown() -> None:
    assert SEED.hex() not in repr(PrivateKey(SEED))
    assert repr(SEED) not in repr(PrivateKey(SEED))


def test_one_key_is_one_worker() -> None:
    first, second = (PrivateKey.generate(seeded(bytes([i]))).public for i in range(2))
    assert first.worker_id == PublicKey(first.raw).worker_id
    assert first.worker_id != second.worker_id
