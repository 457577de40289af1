"""Decompression of what TenSEAL itself has just written, with a bound on what comes out."""

from __future__ import annotations

from protection.ckks.errors import CiphertextMalformed, TensealMissing

# 2^23: the frame of the largest ciphertext here (PRODUIT, 0.4 MB) needs a window of 2^19.
_WINDOW_BITS = 23


def expand_zstd(compressed: bytes, size: int) -> bytes:
    """`size` bytes, exactly, from one zstd frame. Raises CiphertextMalformed, TensealMissing."""
    try:
        from backports import zstd  # noqa: PLC0415 - in the extra `encrypted`, beside TenSEAL
    except ImportError as error:
        raise TensealMissing(
            "TenSEAL's ciphertexts are compressed and the zstd library is not installed",
            remedy="install cadastre[encrypted]",
        ) from error
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_BITS}
    frame = zstd.ZstdDecompressor(options=options)
    try:
        # One byte more than allowed is asked for, to see whether there is one.
        body = frame.decompress(compressed, max_length=size + 1)
    except (zstd.ZstdError, EOFError) as error:
        raise CiphertextMalformed("the ciphertext is not a whole zstd frame") from error
    if len(body) != size or not frame.eof or frame.unused_data:
        raise CiphertextMalformed(f"the ciphertext does not expand to exactly {size} bytes")
    return body
