"""The graph in other programs' forms: GraphML, Parquet, Turtle, PyG's HeteroData."""
