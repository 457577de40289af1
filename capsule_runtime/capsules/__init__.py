"""Sealed capsules: encryption, grants, the owner's directory and the worker's store."""
