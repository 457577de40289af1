"""What is signed in the grid: one frozen dataclass per document, one type tag each."""
