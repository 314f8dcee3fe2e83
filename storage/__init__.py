"""How files appear on disk: whole or not at all, and held by one process at a time."""

from storage.atomic import file_digest, naming, new_file, replacing, sync, write_atomic
from storage.folders import replacing_folder, unfinished
from storage.lock import Held, holding
from storage.names import utf8_name
from storage.tensors import save_tensors

__all__ = [
    "Held",
    "file_digest",
    "holding",
    "naming",
    "new_file",
    "replacing",
    "replacing_folder",
    "save_tensors",
    "sync",
    "unfinished",
    "utf8_name",
    "write_atomic",
]
