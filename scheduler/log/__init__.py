"""The writing half of the transparency log: durable first, signed second, published last."""
