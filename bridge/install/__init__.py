"""Changing an environment: the plan, what it brings, who owns which path, staging, applying, adopting, repairing."""
