"""Everything that touches an owner's data: the capsule store, the sandbox, the release guard."""
