"""What every party must be able to verify by itself: pure, without input or output."""
