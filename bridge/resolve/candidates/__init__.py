"""What there is to choose from: conda names and PyPI projects as lists, best first, with masks of what they meet."""
