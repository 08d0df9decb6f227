"""The search over the store, its policy, and its result."""
