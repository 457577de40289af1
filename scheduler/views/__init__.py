"""What people look at: read models over the store, as plain dataclasses. Nothing here writes."""
