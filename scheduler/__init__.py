"""The scheduler: it plans campaigns, hands out work, opens sums and keeps the log."""
