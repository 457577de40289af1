"""The witness: it cosigns a log's checkpoints and so keeps the log from showing two faces."""
