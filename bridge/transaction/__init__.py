"""Changing a prefix in one transaction, and making a new one aside: either all of it, or nothing.

```
with change(prefix) as transaction:          # lock; what was interrupted before is recovered
    fs.write_file(transaction.staging, …)    # new inodes, aside
    transaction.commit(changes)              # compared, synced, swapped by rename; records last
```

Without `commit`, with any exception, and with SIGINT, SIGTERM or SIGHUP before the commit is through, the prefix is as
it was before. After a crash, `recover` (and the next `change`) brings it there, or to what was committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.lazy import lazily

if TYPE_CHECKING:
    from bridge.transaction.commit import Transaction, change
    from bridge.transaction.creation import Creation, clear_killed, create
    from bridge.transaction.recovery import Recovery, recover
    from bridge.transaction.waiting import pending

__all__ = ["Creation", "Recovery", "Transaction", "change", "clear_killed", "create", "pending", "recover"]

_PLACES = {
    ".commit": ("Transaction", "change"),
    ".creation": ("Creation", "clear_killed", "create"),
    ".recovery": ("Recovery", "recover"),
    ".waiting": ("pending",),
}

# Who only reads a prefix, as most audits do, wants to know whether a transaction waits, and nothing of how one is made.
__getattr__ = lazily(__name__, {name: place for place, names in _PLACES.items() for name in names})
