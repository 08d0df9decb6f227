"""Conda channels: where records come from, the built-in `host`, and the one adapter that knows rattler."""
