"""Change an environment: plan, fetch, check ownership, stage, apply, adopt, repair."""
