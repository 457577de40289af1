"""Offline replay of evidence: what a territory's log and files prove, checked by anybody."""
