"""A Flower app that computes nothing: what a round costs by itself."""
