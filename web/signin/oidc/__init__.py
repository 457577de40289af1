"""Sign-in at the territory's identity provider (OpenID Connect, authorization code with PKCE)."""
