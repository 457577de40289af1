"""Flower apps as bundles: the only room that knows flwr, and only its `adapter` imports it."""
