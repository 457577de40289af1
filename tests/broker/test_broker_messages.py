"""What agent and broker say to each other: exact, bounded, and nothing else."""

from __future__ import annotations

import socket
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_runtime.broker.channel import Channel
from capsule_runtime.broker.errors import BrokerLost, MessageRefused
from capsule_runtime.broker.messages import (
    MAXIMUM_PACKET_BYTES,
    Advanced,
    Cancel,
    Contribute,
    Key,
    KeyWanted,
    Message,
    Reserved,
    Sealing,
    Setup,
    Withdraw,
    decode,
    encode,
)
from capsule_runtime.broker.service import parse_rounds
from trust.entropy import seeded
from trust.ids import CampaignId, CapsuleId, Digest, ReportId, WorkerId

CAPSULE = CapsuleId.draw(seeded(b"c"))
CAMPAIGN = CampaignId.draw(seeded(b"c"))
MESSAGES: tuple[Message, ...] = (
    Setup("/state", "t.example", WorkerId.draw(seeded(b"w")), ("numpy",), 3, bytes(32)),
    Contribute(1, CAMPAIGN, 1, "mobility: {}: planning"),
    Contribute(
        1, CAMPAIGN, 1, "mobility", Sealing(b"k" * 32, Digest.of(b"p"), ReportId.draw(seeded(b"r")))
    ),
    KeyWanted(1, CAPSULE),
    Key(1, CAPSULE, b"k" * 32),
    Key(1, CAPSULE, None),
    Reserved(1, 30, 30, bytes(32)),
    Advanced(1, 3, 30),
    Withdraw(4),
    Cancel(1),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_round_trip(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=200))
def test_noise_is_refused(packet: bytes) -> None:
    with pytest.raises(MessageRefused):
        decode(packet)


@given(st.sampled_from(MESSAGES), st.data())
def test_cut_messages_are_refused(message: Message, data: st.DataObject) -> None:
    packet = encode(message)
    with pytest.raises(MessageRefused):
        decode(packet[: data.draw(st.integers(0, len(packet) - 2))])


def test_a_message_that_fits_no_packet_is_refused() -> None:
    with pytest.raises(MessageRefused):
        encode(Contribute(1, CAMPAIGN, 1, "x" * MAXIMUM_PACKET_BYTES))


def test_a_key_is_not_shown() -> None:
    assert "kkkk" not in repr(Key(1, CAPSULE, b"k" * 32))


def test_attachments_travel_beside_a_message_and_leak_no_descriptor() -> None:
    left, right = (Channel(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    left.send(Withdraw(1), (b"x" * 200_000, b"", b"z"))
    assert right.waiting(1.0)
    assert right.receive() == (Withdraw(1), (b"x" * 200_000, b"", b"z"))
    assert not right.waiting()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
    left.close()
    with pytest.raises(BrokerLost):
        right.receive()
    with pytest.raises(BrokerLost):
        right.send(Cancel(1))
    right.close()


def test_a_packet_that_is_no_message_is_refused() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(right)
    left.send(b"x" * (MAXIMUM_PACKET_BYTES + 10))
    with pytest.raises(MessageRefused):
        channel.receive()
    left.close()
    channel.close()


def test_the_journals_rounds_are_read_back() -> None:
    (item,) = parse_rounds(f"{CAMPAIGN} 2 1/10\n".encode())
    assert (item.campaign, item.round, item.rho) == (CAMPAIGN, 2, Fraction(1, 10))
    assert parse_rounds(b"") == []
    for damaged in (b"camp 1 1/10\n", f"{CAMPAIGN} one 1\n".encode(), b"\xff\n"):
        with pytest.raises(MessageRefused):
            parse_rounds(damaged)
