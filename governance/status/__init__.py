"""The status server: suspensions, withdrawn consents and live consents, signed for workers."""
