"""Wheels and conda packages, translated: pure, and without any knowledge of `bridge`."""
