"""gRPC as this grid uses it: mutual TLS, one mapping of refusals, resumable blobs."""
