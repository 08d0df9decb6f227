"""Translate wheels to conda packages. Pure; imports nothing of `bridge`."""
