"""Evaluation of a checkpoint on people it never saw.

Command: accfm evaluate --config=evaluate \
             --checkpoint=DIR --workdir=W
Hardware: minutes on 2 CPU cores for 10,000 windows and a small encoder.
Expected: metrics.json, figures.json, predictions.parquet, queries.parquet and
    report.html in W. For several DIRs with commas between: the same in W/RUN,
    and comparison.json, .md and .html. With --watch, which follows a run while
    it trains: the same in W/STEP, and history.jsonl. docs/evaluation.md has
    more.
"""

from ml_collections import ConfigDict

from accfm.base import configlib


def get_config(arg=None):
  """Arguments: tiny (small pools, few draws)."""
  arg = configlib.parse(arg, tiny=False)
  c = ConfigDict()
  c.data_dir = ""  # folder of the data sets; "": as the checkpoint's config
  c.dataset = ""  # name of one; "": each that the checkpoint learned from
  # The data set whose train and val people probes are fitted and chosen on,
  # and tested on those of `dataset`; "": the same.
  c.fit_dataset = ""
  c.split = "test"  # whose people are scored
  # Score people who may have shaped the encoder, too, and mark the result.
  c.allow_seen = False
  # The signal to retrieve: "" for the checkpoint's own second signal or, of a
  # checkpoint of one signal, the only other signal of the data set.
  c.partner = ""
  # Without a checkpoint: what somebody else's encoder embeds, "" for the
  # acceleration of the data set.
  c.signal = ""
  # A run whose encoder embeds that signal: linear maps between the two are
  # fitted on train people and scored as rows aligned_ridge and aligned_cca.
  c.align_with = ""
  c.step = "latest"  # "latest", "best" or a step number
  c.batch_size = 16 if arg.tiny else 256  # segments embedded at once
  c.untrained = True  # also the same architecture with fresh weights
  c.handmade = True  # also motion features and the envelope control
  # What is measured; the report has an order of its own.
  c.evals = ("health", "retrieval", "reidentify", "membership", "probe",
             "direct")
  # Sizes of pools, beside a pool of all windows; the first one is shown.
  c.pools = (8,) if arg.tiny else (256, 1024, 4096)
  # Size of the pool of a participant's own segments.
  c.within_pool = 4 if arg.tiny else 16
  # Windows of a recording that start less than this apart are adjacent.
  c.adjacent_sec = 20.0 if arg.tiny else 300.0
  c.probe_folds = 0  # K > 0: rotate probe test folds over unseen people
  # A CSV file of labels beside the data set's: docs/evaluation.md.
  c.labels_file = ""
  # Shares of the labelled people to fit label probes on; nested by hash.
  c.label_fractions = (1.0,)
  c.label_seed = 0  # of the people that a share below 1 consists of
  # Draws of people for each share below 1, with seeds from label_seed on.
  c.label_draws = 2 if arg.tiny else 5
  # A person is the "mean" of the embeddings; "mean_sd" adds their SD.
  c.person_pooling = "mean"
  c.subgroups = True  # also by sex, age, BMI, movement, condition, device
  c.min_people = 2  # labelled people to fit on, to select and to test
  c.min_windows = 4 if arg.tiny else 10  # labelled segments, likewise
  c.min_participants = 4 if arg.tiny else 10  # to fit person-level probes
  c.min_class = 3  # people of the rarer class
  # Bootstrap draws of people behind the band of a ROC curve. Other intervals
  # are t intervals over people and need none (results/coverage.md).
  c.bootstrap_draws = 100 if arg.tiny else 1000
  c.seed = 0  # of the draws, of untrained encoders and of examples
  c.report = True  # write report.html
  c.examples = 4  # retrieved pairs drawn in the report
  # What colours the map: a label, an attribute, "participant", "condition" or
  # "motion_g"; "" for heart rate, else the first label.
  c.map_label = ""
  c.map_method = "pca"  # or "tsne", which is slower and maps 1,000 windows
  # Keep W/embeddings/SPLIT.parquet, and read it where nothing has changed.
  c.save_embeddings = False
  c.pseudonym_salt = ""  # a text: files name people by salted pseudonyms
  c.redact = False  # files name people by numbers alone (as --redact)
  # With --watch: seconds without a new checkpoint until it ends; 0: never.
  c.watch_seconds = 0.0
  return c.lock()
