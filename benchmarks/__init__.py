"""What this house costs on this machine: real paths, real processes, one run."""
