"""Main: recordings -> TFDS shards.

  accfm prepare --source=SOURCE --source_dir=DIR --data_dir=DIR

SOURCE: e4,split=20/5/10 or ./watch.py; short for --config=prepare:SOURCE.
Killed at any point, the same command continues with what is left to do.
"""

import contextlib
import functools
import sys
from collections.abc import Mapping

from ml_collections import ConfigDict

from accfm.base import errors, files, mains, plugins
from accfm.base.errors import InputError
from accfm.data import (
    allowed,
    builder,
    manifest,
    qc_report,
    recordings,
    splits,
    staging,
)
from accfm.data import shards as shards_lib
from accfm.data import sources as sources_lib
from accfm.data.sources import SOURCES
from accfm.signals.contract import Contract


def run(
    config: ConfigDict, source_dir: str = "", data_dir: str = "data",
    sources: Mapping[str, sources_lib.Source] = SOURCES,
) -> str:
  """Prepares one data set and prints its table of quality control.

  Args:
    config: as from `configs/prepare.py`.
    source_dir: folder of the recordings; "" for the simulated cohort.
    data_dir: root of the prepared data sets.
    sources: {name: source module}; `config.source` may also be a plug-in,
      such as "./watch.py".

  Returns:
    The data set's folder, `<data_dir>/biosignal_pairs/<name>/<version>`.

  Raises:
    InputError: something is wrong with the config or the recordings.
  """
  files.refuse_url(data_dir, "--data_dir")
  files.refuse_url(source_dir, "--source_dir", reads=True)
  say = functools.partial(print, file=sys.stdout, flush=True)
  contract = make_contract(config, source_dir)
  plugins.allow_fields(config)
  source = sources_lib.load(config.source, sources)
  code = sources_lib.digest(source)
  folder = staging.folder(data_dir, config.to_dict(), source_dir, code)
  final = builder.dataset_dir(data_dir, config.name)
  cohort = recordings.look(
      source, source_dir, source.list_recordings(source_dir, config.source_cfg),
      config, data_dir, [final, folder], say,
  )
  identity = manifest.identity(config, cohort.names, code, cohort.digest)
  done = manifest.same(final, identity, lambda: cohort.changes(final))
  if done:
    table = qc_report.table(done, shards_lib.check_all(final))
    cohort.save(final, must=False)
    # What a run that was killed at its end left, unless another one is at it.
    with contextlib.suppress(InputError), staging.held(data_dir, config.name):
      staging.remove_all(data_dir, config.name)
    say(f"{final}: prepared before with this config\n{table}")
    return final
  names = cohort.without_copies(config.same_recording, say)
  splits.check_people(len(names))
  with staging.held(data_dir, config.name), errors.of_system(data_dir):
    if manifest.same(final, identity, lambda: cohort.changes(final)):
      return final  # another command ended just now
    cohort.save(folder)
    summaries = staging.stage_all(names, staging.Job(
        read=source.read_recording, source_dir=source_dir,
        source_cfg=config.source_cfg, contract=contract,
        hop_sec=config.hop_sec, labels=config.labels.to_dict(),
        quality=config.quality.to_dict(),
        folder=folder, skip_bad=config.skip_bad_recordings,
    ), config.workers, say, cohort.contents)
    cohort.check_unchanged()
    summaries = qc_report.check_recordings(
        summaries, config.same_recording, say
    )
    by_split = qc_report.split_recordings(summaries, config)
    facts = {
        **identity,
        **qc_report.describe(
            by_split, summaries, contract, config.hop_sec,
            joined=len(cohort.names) - len(summaries),
        ),
    }
    builder.write(by_split, contract, facts, folder, data_dir, say)
    cohort.save(final)
    staging.remove_all(data_dir, config.name)
  say(f"{qc_report.table(facts, manifest.digest(final))}\n{final}: ready")
  return final


def make_contract(config: ConfigDict, source_dir: str) -> Contract:
  """The contract of a prepare config, after checking all its fields."""
  contract = allowed.check(config)
  if not source_dir and config.source != "simulated":
    raise InputError(
        f"--source_dir is missing, want the folder of the {config.source} "
        "recordings"
    )
  return contract


MAIN = mains.Main(
    __doc__, run, (
        mains.Flag(
            "source_dir", "folder of the recordings; simulated ones need none",
            "",
        ),
        mains.Flag("data_dir", "where the prepared data set goes"),
    ),
    usual=("prepare",), short=("source", "prepare"),
)

if __name__ == "__main__":
  MAIN.start()
