"""The keyholder: the cooperative's process that can open an `encrypted` batch, and only that.

It makes one CKKS key per campaign and keeps no part of it that opens anything: the key is
wrapped, the wrapping key shared among trustees. When enough of them give their shares for one
committed batch, it rebuilds the key in memory, opens that batch, adds noise and forgets the key.
"""
