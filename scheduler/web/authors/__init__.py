"""Authors' pages: their bundles, what blocks them, their campaigns and releases."""
