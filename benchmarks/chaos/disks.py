"""Folders on a read-only disk or a small one, for one command alone.

A mount namespace of its own shows the command the disk; nothing else sees it,
and it is gone when the command ends. It takes root, or a kernel that gives
users namespaces.
"""

import pathlib
import shutil
import subprocess
from collections.abc import Sequence

READ_ONLY = (
    'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && '
    'exec "$@"'
)
# The small disk holds what the folder held, and its copy what is left on it.
SMALL_DISK = (
    'set -e; d="$1"; c="$d.after"; mkdir "$c.before"; '
    'cp -a "$d/." "$c.before/"; '
    'mount -t tmpfs -o "size=$2" chaos "$d"; cp -a "$c.before/." "$d/"; '
    'shift 2; set +e; "$@"; code=$?; '
    'mkdir "$c"; cp -a "$d/." "$c/"; exit "$code"'
)


def find_unshare() -> tuple[str, ...]:
  """What gives a command mounts of its own here; () if nothing does."""
  for words in (("unshare", "-m"), ("unshare", "-Urm")):
    probe = (*words, "sh", "-c", "mount -t tmpfs chaos /mnt")
    if shutil.which(words[0]) and not subprocess.run(
        probe, capture_output=True, check=False
    ).returncode:
      return words
  return ()


def read_only(unshare: Sequence[str], folder: pathlib.Path) -> list[str]:
  """Words before a command for which a folder is on a read-only disk."""
  return [*unshare, "sh", "-c", READ_ONLY, "sh", str(folder)]


def small_disk(
    unshare: Sequence[str], folder: pathlib.Path, size: int
) -> list[str]:
  """Words before a command for which a folder is a disk of so many bytes.

  `keep_disk` puts what the disk held into the folder afterwards.
  """
  return [*unshare, "sh", "-c", SMALL_DISK, "sh", str(folder), str(size)]


def keep_disk(folder: pathlib.Path) -> None:
  """Puts what a small disk held at the end into the folder."""
  after = pathlib.Path(f"{folder}.after")
  shutil.rmtree(f"{after}.before", ignore_errors=True)
  if after.is_dir():
    shutil.rmtree(folder)
    after.rename(folder)
