"""Values, wheels and judgements that are computed or fetched once, and the pruning of all caches."""
