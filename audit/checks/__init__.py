"""One small function per thing that must hold; each returns what it found or raises."""
