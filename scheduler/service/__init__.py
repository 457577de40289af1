"""Use cases: each is one named transaction, or a few that can each be repeated."""
