"""A prepared data set's files, found and changed for tests."""

import json
import os
import pathlib

import numpy as np
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_pb2

from accfm.data import checksums


def shard_of(folder, split="train"):
  (name,) = [f for f in os.listdir(folder) if f"-{split}.array_record" in f]
  return os.path.join(folder, name)


def seal(folder):
  """Makes the checksums those of the files as they are now.

  As if preparation had written them so, or whoever changed them knew how.
  """
  checksums.save(folder, checksums.load(folder))


def as_older(folder):
  """Takes away what older versions did not write; returns the folder."""
  os.remove(os.path.join(folder, checksums.FILE))
  edit(folder, lambda facts: facts.pop("format"), sealed=False)
  return folder


def edit(folder, change, sealed=True, file="manifest.json"):
  """Makes `change(plain data)` in a JSON file, by default the manifest."""
  path = pathlib.Path(folder, file)
  facts = json.loads(path.read_text())
  change(facts)
  path.write_text(json.dumps(facts))
  if sealed:
    seal(folder)


def rewrite(folder, row, change, split="train"):
  """Writes a shard again with `change(feature map)` made in a row.

  Its checksum is that of the new shard, as if it had been written so.
  """
  path = shard_of(folder, split)
  reader = array_record_module.ArrayRecordReader(path)
  records = reader.read(range(reader.num_records()))
  reader.close()
  example = tf_example_pb2.Example.FromString(records[row])
  change(example.features.feature)
  records[row] = example.SerializeToString()
  writer = array_record_module.ArrayRecordWriter(path, "group_size:1")
  for record in records:
    writer.write(record)
  writer.close()
  if os.path.exists(os.path.join(folder, checksums.FILE)):
    seal(folder)


def put_scale(scale):
  """A `change` that stores other scales of acceleration."""
  def change(feature):
    stored = np.array(scale, np.float32).tobytes()
    feature["acc/scale"].bytes_list.value[0] = stored

  return change
