"""Live fragments: rendered once per tick, sent to everybody who looks."""
