"""Checkpoints of a run: written, found, verified, read, followed."""

from accfm.train.checkpoints.reader import (
    DamagedError,
    Loaded,
    exists,
    find,
    load,
    newest_whole,
    read_meta,
    read_record,
    verify,
)
from accfm.train.checkpoints.saver import Checkpoints, SaveError

__all__ = [
    "Checkpoints",
    "DamagedError",
    "Loaded",
    "SaveError",
    "exists",
    "find",
    "load",
    "newest_whole",
    "read_meta",
    "read_record",
    "verify",
]
