"""The wire's edge: protobuf in, use cases, protobuf out; nothing is decided here."""
