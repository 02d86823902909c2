"""TFDS's two descriptions of a data set, `dataset_info.json`, `features.json`.

They lie beside the shards so that TFDS can open what accfm wrote. TFDS imports
the Python classes that `features.json` names, and opens the files that
`dataset_info.json` names. accfm does neither: it knows its columns and the
names of its shards. It reads the two files as plain JSON, and refuses a data
set where they say something else than what accfm writes.
"""

import os
from collections.abc import Mapping
from typing import Any

from accfm.base import jsonfile
from accfm.base.errors import InputError
from accfm.data.checksums import AGAIN
from accfm.data.columns import BYTES, SCALAR, TEXT, Column

INFO, FEATURES = "dataset_info.json", "features.json"
BUILDER = "biosignal_pairs"
FORMAT = "array_record"
SHARDS = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"  # TFDS's own names
WANT = f"what TFDS writes for accfm; {AGAIN}"
_FEATURES = "tensorflow_datasets.core.features."
GROUP = _FEATURES + "features_dict.FeaturesDict"
KINDS = {
    _FEATURES + "tensor_feature.Tensor": BYTES,
    _FEATURES + "scalar.Scalar": SCALAR,
    _FEATURES + "text_feature.Text": TEXT,
}
_WRONG = (KeyError, TypeError, ValueError, AttributeError)


def shard_name(split: str, number: int, count: int) -> str:
  """The file name of a shard of a split."""
  return f"{BUILDER}-{split}.{FORMAT}-{number:05d}-of-{count:05d}"


def check_features(
    dataset_dir: str | os.PathLike, columns: Mapping[str, Column]
) -> None:
  """Raises InputError unless `features.json` describes exactly these columns.

  Args:
    dataset_dir: folder of the data set.
    columns: as `columns.of_row`.

  Raises:
    InputError: the file is absent or damaged, names a Python class that accfm
      does not write, or describes other columns.
  """
  path = os.path.join(dataset_dir, FEATURES)
  plain = jsonfile.read_object(path, WANT)
  for name in _classes(plain):
    if not isinstance(name, str) or name not in {GROUP, *KINDS}:
      raise InputError(
          f"{path}: names the Python class {_short(name)}, which accfm never "
          "writes; it was not imported; take the data set from whom you "
          "trust, or prepare it again"
      )
  try:
    found = dict(_columns(plain, ""))
  except _WRONG as error:
    raise InputError(
        f"{path}: no description of columns "
        f"({type(error).__name__}: {_short(str(error))}), want {WANT}"
    ) from error
  for name in dict.fromkeys([*columns, *found]):
    if found.get(name) != columns.get(name):
      raise InputError(
          f"{path}: column {_short(name)} is "
          f"{_said(found.get(name))}, the manifest wants "
          f"{_said(columns.get(name))}; {AGAIN}"
      )


def read_shards(
    dataset_dir: str | os.PathLike, windows: Mapping[str, int]
) -> dict[str, dict[str, int]]:
  """{split: {file name of a shard: its rows}} by `dataset_info.json`.

  Args:
    dataset_dir: folder of the data set.
    windows: split -> its rows, by the manifest.

  Raises:
    InputError: the file is absent or damaged, names files that accfm never
      writes, or has other splits or rows than the manifest.
  """
  path = os.path.join(dataset_dir, INFO)
  plain = jsonfile.read_object(path, WANT)
  for key, want in (("name", BUILDER), ("fileFormat", FORMAT)):
    if plain.get(key) != want:
      raise InputError(
          f"{path}: {key} is {_short(plain.get(key))}, want {want!r}; {AGAIN}"
      )
  found: dict[str, dict[str, int]] = {}
  try:
    for split in plain["splits"]:
      name = split["name"]
      template = split.get("filepathTemplate") or SHARDS
      if template != SHARDS:
        raise InputError(
            f"{path}: filepathTemplate of split {_short(name)} is "
            f"{_short(template)}, want {SHARDS!r}, files of the data set's "
            "own folder; nothing else was opened; take the data set from "
            "whom you trust, or prepare it again"
        )
      rows = [_count(text) for text in split["shardLengths"]]
      if name in found:
        raise ValueError(f"split {name!r} stands twice")
      found[name] = {
          shard_name(name, i, len(rows)): n for i, n in enumerate(rows)
      }
  except InputError:
    raise
  except _WRONG as error:
    raise InputError(
        f"{path}: no description of shards "
        f"({type(error).__name__}: {_short(str(error))}), want {WANT}"
    ) from error
  if found.keys() != windows.keys():
    raise InputError(
        f"{path}: has splits {_short(sorted(map(str, found)))}, the manifest "
        f"has {sorted(windows)}; {AGAIN}"
    )
  for split, shards in found.items():
    if sum(shards.values()) != windows[split]:
      raise InputError(
          f"{dataset_dir}: split {split} has {sum(shards.values())} rows by "
          f"{INFO}, its manifest says {windows[split]}; {AGAIN}"
      )
  return found


def _count(text: Any) -> int:
  """The rows of a shard; protobuf's JSON has whole numbers as text."""
  if isinstance(text, bool) or not isinstance(text, (str, int)):
    raise TypeError(f"shardLengths has {text!r}")
  number = int(text)
  if not 0 < number < 2**40:
    raise ValueError(f"shardLengths has {text!r}")
  return number


def _classes(plain: Any) -> list[Any]:
  """Every value of "pythonClassName", wherever it stands."""
  found, level = [], [plain]
  while level:
    inner = []
    for value in level:
      if isinstance(value, dict):
        if "pythonClassName" in value:
          found.append(value["pythonClassName"])
        inner += value.values()
      elif isinstance(value, list):
        inner += value
    level = inner
  return found


def _columns(node: Any, name: str):
  """Yields (name, Column) of a node; one of `_WRONG` if it is none."""
  kind = node["pythonClassName"]
  if kind == GROUP:
    for inner, value in node["featuresDict"]["features"].items():
      if "/" in inner:
        raise ValueError(f"a name with '/', {inner!r}")
      yield from _columns(value, f"{name}/{inner}" if name else inner)
    return
  kind = KINDS[kind]
  if kind == TEXT:
    yield name, Column(TEXT)
    return
  tensor = node["tensor"]
  shape = tuple(int(n) for n in tensor["shape"].get("dimensions", ()))
  encoding = "bytes" if kind == BYTES else "none"
  if tensor["encoding"] != encoding:
    raise ValueError(f"{name} is stored as {tensor['encoding']!r}")
  yield name, Column(kind, tensor["dtype"], shape)


def _said(column: Column | None) -> str:
  if column is None:
    return "absent"
  if column.kind == TEXT:
    return "text"
  return f"{column.dtype} {list(column.shape)}"


def _short(value: Any) -> str:
  """A value of the file, on one short line."""
  text = " ".join((value if isinstance(value, str) else repr(value)).split())
  return repr(text if len(text) <= 80 else text[:77] + "...")
