"""The college's decisions on files: authorisations and suspensions, k of n, no key on a server."""
