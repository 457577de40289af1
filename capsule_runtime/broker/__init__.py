"""The broker: one capsule's key and tables at a time, no network, a warm sandbox behind it."""
