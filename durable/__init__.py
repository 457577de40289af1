"""Files that survive a crash: atomic writes, content-addressed blobs, private key files."""
