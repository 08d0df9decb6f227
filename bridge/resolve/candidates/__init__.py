"""The candidates of conda names and PyPI projects: lists, best first, and the masks that meet requirements."""
