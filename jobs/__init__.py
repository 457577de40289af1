"""Bundles: their manifest, parameters, archive, signature and the report that they end in."""
