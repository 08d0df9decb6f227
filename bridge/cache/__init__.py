"""Caches of values, unpacked wheels and manifests, and the pruning of all caches."""
