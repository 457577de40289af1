"""An operator's, author's or auditor's side of the wire: the command line over gRPC."""
