"""Errors of rattler's pure types as `ValueError`.

rattler raises a dozen exception classes for unreadable text; for a panic pyo3 raises `PanicException`, which derives
from `BaseException`, so `except Exception` misses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["as_value_error", "is_panic"]


def is_panic(error: BaseException) -> bool:
    """Whether `error` is a panic of Rust code. The class cannot be imported."""
    return type(error).__name__ == "PanicException"


@contextmanager
def as_value_error() -> Iterator[None]:
    """Raise `ValueError` for any error of rattler, panics included; interrupts pass unchanged."""
    try:
        yield
    except Exception as error:
        raise ValueError(str(error)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise ValueError("rattler cannot parse it") from error
