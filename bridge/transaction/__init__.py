"""Change a prefix in one transaction, or create one beside its place: all of it or nothing.

```
with change(prefix) as transaction:          # takes the lock; recovers an interrupted transaction
    fs.write_file(transaction.staging, …)    # new inodes, aside
    transaction.commit(changes)              # compared, synced, swapped by rename; records last
```

The prefix stays as it was if `commit` is not called, on any exception, and on SIGINT, SIGTERM or SIGHUP before the
commit is complete. After a crash, `recover` (and the next `change`) restores it, or finishes what was committed.
"""
