"""Wheels as conda packages: one wheel, many jobs, resuming, and the index of a channel."""
