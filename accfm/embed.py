"""Main: device files -> tables of embeddings.

  accfm embed --model=MODEL --input=FILE_OR_DIR --output=DIR

MODEL is a model folder (accfm export) or a run. Each recording becomes a
Parquet file; days.parquet and recordings.parquet sum them up. A file that
cannot be read does not stop a folder: it is listed at the end, and the exit
status is 3. Run again, it goes on with what is left.
"""

import os
import sys

from ml_collections import ConfigDict

import accfm
from accfm.base import errors, files, interrupts, mains, values
from accfm.base.errors import InputError
from accfm.data.sources import detect
from accfm.use import folder_run
from accfm.use.encoder import Encoder
from accfm.use.recordings import How

RULES = {"hop_sec": values.COUNT}
FAILED = 3  # exit status where some recordings failed


def run(config: ConfigDict, model: str, input: str, output: str) -> int:
  """Embeds all recordings of a file or folder.

  Args:
    config: as `configs/embed.py`.
    model: a model folder, or a run's workdir.
    input: a device's file, or a folder of them.
    output: folder of the tables.

  Returns:
    How many recordings failed.

  Raises:
    InputError: something is wrong with a flag, the model or the output.
  """
  files.refuse_url(input, "--input", reads=True)
  files.refuse_url(output, "--output")
  values.check(config, RULES)
  found, unknown = detect.detect(input)
  mine = folder_run.share(found, config.shard)
  encoder: Encoder = accfm.load(model)
  how = How(
      config.hop_sec or encoder.contract.window_sec, config.quality.to_dict(),
      config.wear, config.allow_upsampling)
  job = folder_run.Job(
      encoder, how, config.tz, os.path.abspath(output),
      folder_run.identity(model, encoder), config.shard)
  if unknown:
    print(f"left out, of no known device: {len(unknown):,} file(s), such as "
          f"{unknown[0]}", flush=True)
  failed = folder_run.embed_all(mine, job, interrupts.check)
  for name, why in failed.items():
    print(f"failed: {name}: {why}", file=sys.stderr, flush=True)
  if failed and len(failed) == len(mine) == 1:
    raise InputError(f"{next(iter(failed))}: {next(iter(failed.values()))}")
  return len(failed)


def _main(config: ConfigDict, model: str, input: str, output: str) -> None:
  with errors.of_system(output):
    failed = run(config, model, input, output)
  if failed:
    sys.exit(FAILED)


MAIN = mains.Main(__doc__, _main, (
    mains.Flag("model", "a model folder, or a run's workdir"),
    mains.Flag("input", "a device's file, or a folder of them"),
    mains.Flag("output", "folder of the tables"),
), config="embed", usual=("embed",))

if __name__ == "__main__":
  MAIN.start()
