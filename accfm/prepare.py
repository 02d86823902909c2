"""Main: recordings -> TFDS shards.

  accfm prepare --config=prepare:SOURCE --source_dir=DIR --data_dir=DIR

Killed at any point, the same command continues with what is left to do.
"""

import functools
import sys
from collections.abc import Mapping

from ml_collections import ConfigDict

from accfm.base import files, mains, plugins
from accfm.base.errors import InputError
from accfm.data import allowed, builder, manifest, qc_report, splits, staging
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
  code = source.digest() if isinstance(source, sources_lib.Outside) else ""
  names = source.list_recordings(source_dir, config.source_cfg)
  identity = manifest.identity(config, names, code)
  final = builder.dataset_dir(data_dir, config.name)
  done = manifest.same(final, identity)
  if done:
    staging.remove_all(data_dir, config.name)  # of a run killed at its end
    say(f"{final}: prepared before with this config\n{qc_report.table(done)}")
    return final
  splits.check_people(len(names))
  folder = staging.folder(data_dir, config.to_dict(), source_dir, code)
  with staging.locked(folder), staging.disk_full(data_dir):
    summaries = staging.stage_all(names, staging.Job(
        read=source.read_recording, source_dir=source_dir,
        source_cfg=config.source_cfg, contract=contract,
        hop_sec=config.hop_sec, labels=config.labels.to_dict(),
        quality=config.quality.to_dict(),
        folder=folder, skip_bad=config.skip_bad_recordings,
    ), config.workers, say)
    for line in qc_report.problems(summaries):
      say(f"prepare: left out: {line}")
    qc_report.check_recordings(summaries)
    by_split = qc_report.split_recordings(summaries, config)
    facts = {
        **identity,
        **qc_report.describe(by_split, summaries, contract, config.hop_sec),
        "contract": contract.to_dict(),
        "code_version": contract.code_version,
        "hop_sec": config.hop_sec,
    }
    facts["split_hash"] = manifest.split_hash(facts["splits"])
    builder.write(by_split, contract, facts, folder, data_dir, say)
    staging.remove_all(data_dir, config.name)
  say(f"{qc_report.table(facts)}\n{final}: ready")
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
    usual=("prepare",),
)

if __name__ == "__main__":
  MAIN.start()
