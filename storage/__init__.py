"""How files appear on disk: whole or not at all, and held by one process at a time."""

from storage.atomic import new_file, replacing, write_atomic
from storage.lock import Held, holding

__all__ = ["Held", "holding", "new_file", "replacing", "write_atomic"]
