"""The search over the store, the policy that it follows, and what it gives back."""
