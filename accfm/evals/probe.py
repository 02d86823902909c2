"""Linear probes: what a frozen embedding knows, for people never seen.

One protocol for every row of a table, learned or not: standardise on the
fitting people, choose the penalty on the selecting people, score the rest.
"Predict the mean" is the same with no columns at all.
"""

import dataclasses

import numpy as np

from accfm.base import shapes
from accfm.data.labelled import some_people
from accfm.evals import stats

ALPHAS = tuple(float(a) for a in 10.0 ** np.arange(-2, 6.5, 0.5))
UNITS = ("bpm", "ms", "s", "years", "kg", "cm", "mmhg", "c")
FIT, SELECT, TEST = 0, 1, 2


def task_and_unit(label):
  """`hr_bpm` -> ("hr", "bpm"); no known unit at the end -> (label, "")."""
  name, _, unit = label.rpartition("_")
  return (name, unit) if name and unit in UNITS else (label, "")


def standardise(x, rows):
  """x [N, D] scaled by mean and SD of x[rows]; constant columns are 0."""
  x = np.asarray(x, np.float64)
  mean, sd = x[rows].mean(axis=0), x[rows].std(axis=0)
  constant = sd <= 1e-8 * (1 + np.abs(mean))
  return np.where(constant, 0, (x - mean) / np.where(constant, 1, sd))


def ridge(x, y, rows, alphas=ALPHAS):
  """Ridge regressions on x[rows] at every penalty from one decomposition.

  Minimises |y - mean(y) - z w|^2 + alpha |w|^2 for z = standardised x.

  Args:
    x: [N, D]; D may be 0, which predicts the mean.
    y: [N]; only y[rows] is read.
    rows: [M] rows to fit on.
    alphas: A penalties.

  Returns:
    Predictions for all rows: [A, N].
  """
  shapes.check_all([(x, "embeddings", "N D"), (y, "labels", "N")])
  z = standardise(x, rows)
  middle = y[rows].mean()
  if not z.shape[1]:
    return np.full((len(alphas), len(x)), middle)
  u, s, vt = np.linalg.svd(z[rows], full_matrices=False)
  shrink = s / (s * s + np.asarray(alphas)[:, None])  # [A, R]
  weights = (shrink * (u.T @ (y[rows] - middle))) @ vt  # [A, D]
  return middle + weights @ z.T


def ridge_probe(x, y, role):
  """Predictions [N] with the penalty that suits the selecting rows best.

  Args:
    x: [N, D].
    y: [N]; test labels are not read.
    role: [N] of FIT, SELECT, TEST.
  """
  paths = ridge(x, y, np.flatnonzero(role == FIT))
  chosen = role == SELECT
  error = np.mean((paths[:, chosen] - y[chosen]) ** 2, axis=1)
  return paths[np.argmin(error)]


def logistic_probe(x, y, role):
  """As `ridge_probe` for classes 0 and 1: the log-odds [N] of class 1."""
  from sklearn.linear_model import LogisticRegression
  fit, chosen = role == FIT, role == SELECT
  z = standardise(x, np.flatnonzero(fit))
  best, odds = np.inf, None
  for strength in 10.0 ** np.arange(-4, 1.5):
    model = LogisticRegression(C=strength, max_iter=2000)
    line = model.fit(z[fit], y[fit]).decision_function(z)
    loss = np.mean(np.logaddexp(0, -(2 * y[chosen] - 1) * line[chosen]))
    if loss < best:
      best, odds = loss, line
  return odds


def moments(y, p):
  """Columns [N, 8] from whose sums every regression score follows."""
  error, middle = p - y, y.mean()
  y, p = y - middle, p - middle  # a shift that no score depends on
  return np.column_stack([
      np.ones(len(y)), np.abs(error), error ** 2, y, p, y * y, p * p, y * p
  ])


def _divide(a, b):
  good = b > 1e-12
  return np.where(good, a / np.where(good, b, 1), np.nan)


def mae(s):
  return _divide(s[..., 1], s[..., 0])


def rmse(s):
  return np.sqrt(_divide(s[..., 2], s[..., 0]))


def r2(s):
  """1 - squared error over that of the evaluated windows' own mean."""
  n, squared, y, yy = s[..., 0], s[..., 2], s[..., 3], s[..., 5]
  return 1 - _divide(squared, yy - _divide(y * y, n))


def pearson(s):
  n, _, _, y, p, yy, pp, yp = np.moveaxis(s, -1, 0)
  vy, vp = yy - _divide(y * y, n), pp - _divide(p * p, n)
  return _divide(yp - _divide(y * p, n), np.sqrt(np.maximum(vy * vp, 0)))


@dataclasses.dataclass(frozen=True)
class Predictions:
  """One task's scored rows, for the report and `predictions.csv`.

  Attributes:
    task, unit: e.g. "hr", "bpm"; unit "log_odds" for classes.
    rows: the task's row keys: column -> [M].
    true: [M]; predicted: row name -> [M].
  """

  task: str
  unit: str
  rows: dict
  true: np.ndarray
  predicted: dict


def _roles(data, cfg):
  """Stacks all splits: (split, row) order, people [N], a list of roles [N].

  The usual roles: fit on train, select on val, test on the split. With
  `probe_folds` = K, the split's people are dealt into K folds; each is
  tested once, fitted on train and the other folds.
  """
  names = sorted(data.tables)
  people = np.concatenate([data.tables[s]["participant"] for s in names])
  split = np.concatenate([
      np.full(len(data.tables[s]["participant"]), s, object) for s in names
  ])
  base = np.full(len(people), -1)
  base[split == "train"] = FIT
  base[split == "val"] = SELECT
  if data.split == "val":  # then a fifth of the train people selects
    base[np.isin(people, np.unique(people[split == "train"])[::5])] = SELECT
  base[split == data.split] = TEST
  if not cfg.probe_folds:
    return names, people, [base]
  tested = np.unique(people[base == TEST])
  tested = np.random.default_rng(cfg.seed).permutation(tested)
  folds = []
  for fold in np.array_split(tested, min(cfg.probe_folds, len(tested))):
    role = base.copy()
    role[(base == TEST) & ~np.isin(people, fold)] = FIT
    folds.append(role)
  return names, people, folds


def _shortage(people, known, roles, least):
  """Why a task cannot be evaluated, or "".

  Args:
    least: {role: (least windows, least people)}.
  """
  titles = {FIT: "to fit on", SELECT: "to choose the penalty", TEST: "to test"}
  for role, (windows, persons) in least.items():
    sets = [r == role for r in roles]
    if role == TEST:  # folds are scored together, but fitted one by one
      sets = [np.any(sets, axis=0)]
    n = min(int((known & rows).sum()) for rows in sets)
    p = min(len(np.unique(people[known & rows])) for rows in sets)
    if n < windows or p < persons:
      return (
          f"{n} labelled rows of {p} people {titles[role]}, want at least "
          f"{windows} of {persons}"
      )
  return ""


def _matrices(data, names, persons=None):
  """Row name -> [N, D] over all splits; means per person if asked for."""
  out = {row: parts for row, parts in data.encoders.items()}
  if data.features:
    out["features"] = data.features
  out = {
      row: np.concatenate([parts[s] for s in names])
      for row, parts in out.items() if set(names) <= set(parts)
  }
  if persons is not None:
    out = {row: persons.sums(x) / persons.sums(np.ones((len(x), 1)))
           for row, x in out.items()}
  size = len(persons) if persons is not None else len(next(iter(out.values())))
  return {**out, "mean": np.zeros((size, 0))}


def run(data, cfg, metrics):
  """Adds the probes of every label and attribute, for every row.

  Args:
    data: `inputs.Inputs`.
    cfg: `bootstrap_draws`, `seed`, `probe_folds`, `min_people`,
      `min_windows`, `min_participants`, `min_class`, `label_fractions`,
      `label_seed`.
    metrics: `stats.Metrics` to add to.

  Returns:
    List of Predictions.
  """
  if data.split == "train":
    metrics.skip(
        f"{data.split}/probe", "probes are fitted on the train split"
    )
    return []
  names, people, whole = _roles(data, cfg)
  stack = lambda c: np.concatenate([data.tables[s][c] for s in names])  # noqa: E731
  keys = {c: stack(c) for c in ("participant", "session", "start_s")}
  labels = [c for c in sorted(data.table) if c.startswith("labels/")]
  traits = [c for c in sorted(data.table) if c.startswith("attributes/")]
  matrices = _matrices(data, names)
  persons = stats.People(people, 1, 0)
  first = np.unique(people, return_index=True)[1]
  means = _matrices(data, names, persons)
  few = (cfg.min_people, cfg.min_people)
  many = (cfg.min_participants, cfg.min_participants)
  out = []
  for fraction in cfg.label_fractions:
    tail = "" if fraction == 1.0 else f"_at_{100 * fraction:g}pct"
    least = (cfg.min_windows, cfg.min_people)
    least = {FIT: least, SELECT: least, TEST: least}
    if tail:  # few labelled people is then what is asked for
      least[FIT] = (2, 1)
    labelled = np.any([np.isfinite(stack(c)) for c in labels], axis=0)
    roles = _restrict(whole, people, labelled, fraction, cfg.label_seed)
    for column in labels:
      out.append(_regress(
          data, cfg, metrics, column.split("/", 1)[1], tail, stack(column),
          people, roles, matrices, keys, least,
      ))
    if tail:
      continue  # a person's traits need people to fit on
    roles = [role[first] for role in roles]
    for column in traits:
      y = stack(column).astype(np.float64)[first]
      known = np.isfinite(y)
      probe = _regress
      if known.any() and np.isin(y[known], (0, 1)).all():
        probe = _classify
      out.append(probe(
          data, cfg, metrics, column.split("/", 1)[1], "", y, persons.names,
          roles, means, {"participant": persons.names},
          {FIT: many, SELECT: few, TEST: few},
      ))
  return [p for p in out if p is not None]


def _restrict(roles, people, known, fraction, seed):
  """Roles that fit on a fraction of the labelled people alone.

  Without rotated folds they are the people that a supervised run of this
  fraction and seed is given, if it learns all labels; which penalty suits
  them is still chosen on all selecting people.
  """
  if fraction == 1.0:
    return roles
  out = []
  for role in roles:
    fit = (role == FIT) & known
    chosen = some_people(people[fit], fraction, seed) if fit.any() else []
    role = role.copy()
    role[(role == FIT) & ~np.isin(people, chosen)] = -1
    out.append(role)
  return out


def _predict(probe, x, y, known, roles):
  """Each row tested, predicted by the probe of the fold that tests it."""
  out = np.full(len(y), np.nan)
  for role in roles:
    part = np.where(known, role, -1)
    tested = part == TEST
    if tested.any():
      out[tested] = probe(x, y, part)[tested]
  return out


def _tested(y, roles):
  known = np.isfinite(y)
  return known, known & np.any([r == TEST for r in roles], axis=0)


def _regress(
    data, cfg, metrics, label, part, y, people, roles, matrices, keys, least
):
  """Ridge of one label for every row; Predictions or None."""
  task, unit = task_and_unit(label)
  task += part
  y = np.asarray(y, np.float64)
  known, tested = _tested(y, roles)
  tail = f"_{unit}" if unit else ""
  name = f"{data.split}/probe_{task}"
  if "session" in keys:  # else a row is a person
    metrics.add(f"{name}/windows", int(tested.sum()))
  metrics.add(f"{name}/people", len(np.unique(people[tested])))
  reason = _shortage(people, known, roles, least)
  if not reason and np.ptp(y[tested]) == 0:
    reason = f"the label is constant ({y[tested][0]:g})"
  if reason:
    for row in matrices:
      key = "/".join(filter(None, (data.split, row, f"probe_{task}")))
      metrics.skip(f"{key}/mae{tail}", reason)
    return None
  crowd = stats.People(people[tested], cfg.bootstrap_draws, cfg.seed)
  predicted, sums = {}, {}
  for row, x in matrices.items():
    p = _predict(ridge_probe, x, y, known, roles)[tested]
    predicted[row] = p
    s = sums[row] = crowd.sums(moments(y[tested], p))
    key = "/".join(filter(None, (data.split, row, f"probe_{task}")))
    metrics.add(f"{key}/mae{tail}", crowd.estimate(s, mae))
    metrics.add(f"{key}/rmse{tail}", crowd.estimate(s, rmse))
    metrics.add(f"{key}/r2", crowd.estimate(s, r2))
    if row != "mean":
      metrics.add(f"{key}/pearson_r", crowd.estimate(s, pearson))
  for other in ("mean", "untrained"):  # paired: the same people are drawn
    if other in sums:
      both = np.stack([sums[""][:, 1], sums[other][:, 1]], axis=1)
      metrics.add(
          f"{name}/mae_below_{other}_share",
          crowd.estimate(both, lambda s: 1 - stats.ratio(s)),
      )
  rows = {c: v[tested] for c, v in keys.items()}
  return Predictions(task, unit, rows, y[tested], predicted)


def _classify(
    data, cfg, metrics, label, part, y, people, roles, matrices, keys, least
):
  """Logistic regression of one 0/1 attribute; Predictions or None."""
  known, tested = _tested(y, roles)
  label += part
  name = f"{data.split}/probe_{label}"
  metrics.add(f"{name}/people", int(tested.sum()))
  metrics.add(f"{name}/positives", int(np.sum(y[tested])))
  reason = _shortage(people, known, roles, least)
  for role in roles:
    for part, rows in (
        ("fit", known & (role == FIT)), ("test", tested),
    ):
      fewest = min(np.sum(y[rows] == 0), np.sum(y[rows] == 1))
      if not reason and fewest < cfg.min_class:
        reason = (
            f"{fewest} people of the rarer class to {part}, want at least "
            f"{cfg.min_class}"
        )
  rows = [row for row in matrices if row != "mean"]
  if reason:
    for row in rows:
      key = "/".join(filter(None, (data.split, row, f"probe_{label}")))
      metrics.skip(f"{key}/auc", reason)
    return None
  crowd = stats.People(people[tested], cfg.bootstrap_draws, cfg.seed)
  predicted = {}
  for row in rows:
    odds = _predict(logistic_probe, matrices[row], y, known, roles)[tested]
    predicted[row] = odds
    key = "/".join(filter(None, (data.split, row, f"probe_{label}")))
    metrics.add(f"{key}/auc", stats.auc(crowd, y[tested], odds))
  rows = {c: v[tested] for c, v in keys.items()}
  return Predictions(label, "log_odds", rows, y[tested], predicted)
