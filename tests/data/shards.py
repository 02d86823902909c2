"""Shards of a prepared data set, found and changed for tests."""

import os

import numpy as np
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_pb2


def shard_of(folder, split="train"):
  (name,) = [f for f in os.listdir(folder) if f"-{split}.array_record" in f]
  return os.path.join(folder, name)


def rewrite(folder, row, change, split="train"):
  """Writes a shard again with `change(feature map)` made in a row."""
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


def put_scale(scale):
  """A `change` that stores other scales of acceleration."""
  def change(feature):
    stored = np.array(scale, np.float32).tobytes()
    feature["acc/scale"].bytes_list.value[0] = stored

  return change
