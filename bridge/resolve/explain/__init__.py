"""Explains a request without a solution, in terms of what the user can change."""
