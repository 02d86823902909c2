"""The shards of a data set: which files they are, and that they are whole.

Records come straight from array_record. TFDS, which wrote the shards, is not
asked: it would import the classes, and open the files, that its descriptions
name.
"""

import bisect
import dataclasses
import functools
import itertools
import os
from collections.abc import Mapping
from typing import Any

from array_record.python import array_record_data_source

from accfm.data import checksums, columns, infofiles
from accfm.data import manifest as manifest_lib
from accfm.signals import contract as contract_lib

REPLACE = (
    ", or let training replace the rows of shards that are damaged, up to "
    "--config.max_damaged_share"
)


@dataclasses.dataclass(frozen=True)
class Part:
  """All records of a shard, in the words of array_record.

  Attributes:
    filename: the shard.
    skip: records to leave out at its beginning.
    take: records to read.
    examples_in_shard: its records.
  """

  filename: str
  skip: int
  take: int
  examples_in_shard: int


@dataclasses.dataclass(frozen=True)
class Shards:
  """The shards of one split, in order.

  Attributes:
    files: path -> rows.
  """

  files: Mapping[str, int]

  @functools.cached_property
  def source(self) -> Any:
    """Random access to the records; they are read when asked for."""
    parts: Any = [
        Part(path, 0, rows, rows) for path, rows in self.files.items()
    ]
    return array_record_data_source.ArrayRecordDataSource(parts)

  def of_row(self, row: int) -> str:
    """The shard that holds a row."""
    ends = list(itertools.accumulate(self.files.values()))
    return list(self.files)[bisect.bisect_right(ends, row)]


def find(
    dataset_dir: str | os.PathLike, manifest: Mapping[str, Any], split: str,
    replaces: bool = False,
) -> Shards:
  """The shards of a split, after checking the data set's files.

  Args:
    dataset_dir: folder of the data set.
    manifest: as `manifest.load`.
    split: one of the manifest's.
    replaces: whether damaged rows may be replaced: then a line warns of a
      shard that is not what was written.

  Raises:
    InputError: the descriptions beside the shards are not what accfm writes,
      or a file is not what was written.
  """
  found = _names(dataset_dir, manifest)
  sums = manifest_lib.load_checksums(dataset_dir, manifest)
  if sums is not None:
    wrong = checksums.check_sizes(
        dataset_dir, sums, [name for one in found.values() for name in one]
    ) or checksums.check_contents(
        dataset_dir, sums, found[split], checksums.MOST_BYTES
    )
    if replaces:
      checksums.warn(wrong, "training replaces the damaged rows that it meets")
    else:
      checksums.refuse(wrong, REPLACE)
  return Shards({
      os.path.join(dataset_dir, name): rows
      for name, rows in found[split].items()
  })


def check_all(dataset_dir: str | os.PathLike) -> str:
  """Reads all files of a data set, and refuses it unless they are whole.

  Returns:
    Its hash, as `manifest.digest`.

  Raises:
    InputError: as `manifest.load` and `find`.
  """
  manifest = manifest_lib.load(dataset_dir)
  found = _names(dataset_dir, manifest)
  sums = manifest_lib.load_checksums(dataset_dir, manifest)
  if sums is not None:
    names = [name for one in found.values() for name in one]
    checksums.refuse(
        checksums.check_sizes(dataset_dir, sums, names)
        or checksums.check_contents(dataset_dir, sums, names)
    )
  return manifest_lib.digest_of(manifest, sums)


def _names(dataset_dir, manifest) -> dict[str, dict[str, int]]:
  """{split: {file name: rows}}, by descriptions that are as accfm's."""
  infofiles.check_features(dataset_dir, columns.of_row(
      contract_lib.from_dict(manifest["contract"]),
      manifest["labels"], manifest["attributes"],
  ))
  return infofiles.read_shards(dataset_dir, manifest["windows"])
