"""The territory's graph: an ontology, a dated signed document, indicators and pictures."""
