"""Conda channels: sources of records, the built-in `host`, and the adapter of rattler."""
