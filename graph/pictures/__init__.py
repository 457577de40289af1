"""Pictures of the graph as SVG: drawn here, without scripts, the same bytes each time."""
