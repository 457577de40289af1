"""The policy language: what it accepts, what it refuses, whom it misses."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.errors import LogRefused, Malformed
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.tree import EMPTY_ROOT

pytestmark = pytest.mark.base

LOG_KEY = PrivateKey(bytes(32))
LOG = LogKey("log.example", LOG_KEY.public)
NAMES = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
SECRETS = {name: PrivateKey(bytes([at + 1]) * 32) for at, name in enumerate(NAMES)}
KEYS = {name: CosignerKey(f"{name}.example", key.public) for name, key in SECRETS.items()}
WITNESSES = "".join(f"witness {name} {KEYS[name]}\n" for name in NAMES)

# The example of c2sp.org/tlog-policy, with keys.
EXAMPLE = f"""log {LOG}

{WITNESSES}
group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3
  # both organisations
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def _note(cosigners: tuple[str, ...]) -> bytes:
    note = Checkpoint("log.example", 0, EMPTY_ROOT).signed(LOG_KEY)
    lines = [cosign(note.text, KEYS[name].name, SECRETS[name], 7) for name in cosigners]
    return note.with_signatures(lines).emit()


def test_the_example_policy_decides_every_set_of_witnesses() -> None:
    policy = Policy.parse(EXAMPLE.encode())
    for present in chain.from_iterable(combinations(NAMES, n) for n in range(7)):
        enough = sum(n.startswith("X") for n in present) >= 2 and any("Y" in n for n in present)
        if enough:
            assert len(policy.verify(_note(present)).cosigned) == len(present)
            continue
        with pytest.raises(LogRefused) as refusal:
            policy.verify(_note(present))
        for name in NAMES:
            assert (name in refusal.value.sentence) == (name not in present)


def test_quorum_none_asks_for_the_log_alone() -> None:
    policy = Policy.parse(f"log {LOG} https://log.example/\nquorum none\n".encode())
    assert policy.logs[0].url == "https://log.example/"
    assert policy.verify(_note(())).log == LOG


def test_a_single_witness_may_be_the_quorum() -> None:
    policy = Policy.parse(f"log {LOG}\n{WITNESSES}quorum X2\n".encode())
    policy.verify(_note(("X2",)))
    with pytest.raises(LogRefused, match="no cosignature of X2"):
        policy.verify(_note(("X1",)))


def test_a_policy_without_logs_verifies_nothing() -> None:
    with pytest.raises(LogRefused):
        Policy.parse(b"quorum none\n").verify(_note(()))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "0 quorum lines"),
        ("quorum none\nquorum none\n", "2 quorum lines"),
        ("quorum X9\n", "no earlier line defines"),
        (f"quorum X1\n{WITNESSES}", "no earlier line defines"),
        (f"{WITNESSES}group G all X1 X1\nquorum G\n", "second time"),
        (f"{WITNESSES}group G all X1\ngroup H all X1\nquorum G\n", "second time"),
        (f"{WITNESSES}group G 3 X1 X2\nquorum G\n", "all, any or 1 to 2"),
        (f"{WITNESSES}group G 0 X1 X2\nquorum G\n", "all, any or 1 to 2"),
        (f"{WITNESSES}group G 01 X1 X2\nquorum G\n", "all, any or 1 to 2"),
        (f"{WITNESSES}group G all\nquorum G\n", "is none of"),
        (f"{WITNESSES}group G all G\nquorum G\n", "no earlier line defines"),
        (f"{WITNESSES}group G all none\nquorum none\n", "no earlier line defines"),
        (f"{WITNESSES}group X1 all X2\nquorum X1\n", "taken"),
        (f"witness none {KEYS['X1']}\nquorum none\n", "taken"),
        (f"witness A {KEYS['X1']}\nwitness A {KEYS['X2']}\nquorum A\n", "taken"),
        (f"witness A {KEYS['X1']}\nwitness B {KEYS['X1']}\nquorum A\n", "repeats the key"),
        (f"log {LOG}\nlog {LogKey('other', LOG.public)}\nquorum none\n", "repeats the key"),
        (f"log {KEYS['X1']}\nquorum none\n", "not an Ed25519 key of type 0x01"),
        (f"witness A {LOG}\nquorum A\n", "not an Ed25519 key of type 0x04"),
        ("quorum none", "newline"),
        ("quorum\tnone\r\n", "control character"),
        ("quorum none\x7f\n", "control character"),
        ("witnesses all\nquorum none\n", "is none of"),
        ("quorum none none\n", "is none of"),
    ],
)
def test_wrong_policies_are_refused_with_their_reason(lines: str, said: str) -> None:
    with pytest.raises(Malformed) as refusal:
        Policy.parse(lines.encode())
    assert said in f"{refusal.value.sentence} {refusal.value.remedy}"


def test_names_are_opaque_octets() -> None:
    kelvin, letter = "\u212a", "K"
    text = f"log {LOG}\nwitness {kelvin} {KEYS['X1']}\nwitness {letter} {KEYS['X2']}\nquorum K\n"
    with pytest.raises(LogRefused):
        Policy.parse(text.encode()).verify(_note(("X1",)))
    raw = text.encode().replace(kelvin.encode(), b"\xff\xfe")
    Policy.parse(raw).verify(_note(("X2",)))


@given(st.binary(max_size=200))
def test_hostile_policies_are_only_ever_malformed(data: bytes) -> None:
    try:
        policy = Policy.parse(data)
    except Malformed:
        return
    assert policy.logs == ()


@given(st.integers(0, len(EXAMPLE)), st.sampled_from(["", " ", "\n", "all", "X1", "+", "\u00e9"]))
def test_edited_policies_parse_or_say_why(at: int, inserted: str) -> None:
    text = EXAMPLE[:at] + inserted + EXAMPLE[at + 2 :]
    try:
        policy = Policy.parse(text.encode())
    except Malformed:
        return
    assert policy.logs[0].key.public == LOG.public
