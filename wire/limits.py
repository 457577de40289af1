"""Limits of the wire, each with its reason."""

from __future__ import annotations

# Largest message either way: a batch of 1,000 consents (about 1.2 kB each) with room to spare.
MAXIMUM_MESSAGE_BYTES = 8 * 1024 * 1024
# An open connection outlives its certificate (measured): so no connection lives longer.
CONNECTION_AGE_MS = 10 * 60 * 1000
CONNECTION_GRACE_MS = 60 * 1000
# City firewalls drop silent connections after some minutes; a ping a minute keeps them.
KEEPALIVE_MS = 60 * 1000
# The long poll answers at the latest after this; the client waits a little longer.
HEARTBEAT_SECONDS = 30.0
EXCHANGE_TIMEOUT_SECONDS = HEARTBEAT_SECONDS + 15.0
CALL_TIMEOUT_SECONDS = 30.0
# Calls that one connection may have open: an exchange, a few blobs, and room.
STREAMS_PER_CONNECTION = 64
# The enrolment port takes anybody's message: a token, a request and a proof take under 8 KiB.
OPEN_MESSAGE_BYTES = 64 * 1024
OPEN_CONCURRENT_CALLS = 64
# One chunk of a blob: small enough to be fair between streams, large enough to be quick (what a
# chunk costs besides its bytes is half a millisecond at each end, as much as 256 KiB of them).
CHUNK_BYTES = 1024 * 1024
# Blobs up to this come with the answer that orders their use: a call each is saved, and an answer
# of eight orders stays far below MAXIMUM_MESSAGE_BYTES.
INLINE_BYTES = 32 * 1024
MAXIMUM_BLOB_BYTES = 256 * 1024 * 1024

Options = tuple[tuple[str, int], ...]

CHANNEL_OPTIONS: Options = (
    ("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAXIMUM_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),
)

SERVER_OPTIONS: Options = (
    ("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAXIMUM_MESSAGE_BYTES),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
    ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
    ("grpc.so_reuseport", 0),
)

OPEN_SERVER_OPTIONS: Options = (
    *(option for option in SERVER_OPTIONS if option[0] != "grpc.max_receive_message_length"),
    ("grpc.max_receive_message_length", OPEN_MESSAGE_BYTES),
)
