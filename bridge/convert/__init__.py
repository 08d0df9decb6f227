"""Convert wheels to conda packages: one wheel, many jobs, resuming, and the index of a channel."""
