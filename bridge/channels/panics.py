"""The rim of rattler's pure types: whatever they raise becomes a `ValueError`.

rattler raises a dozen exception classes for text it cannot read, and where its Rust code panics, pyo3 raises
`PanicException`, which derives from `BaseException`: `except Exception` does not catch it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["as_value_error", "is_panic"]


def is_panic(error: BaseException) -> bool:
    """Whether pyo3 raised `error` for a panic of Rust code. The class has no importable name."""
    return type(error).__name__ == "PanicException"


@contextmanager
def as_value_error() -> Iterator[None]:
    """Raise `ValueError` for whatever rattler raises in the block, panics included; interrupts pass unchanged."""
    try:
        yield
    except Exception as error:
        raise ValueError(str(error)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise ValueError("rattler cannot read it") from error
