"""t intervals by a loop that leaves out one person after another."""

import math

import numpy as np
from scipy import stats as sps


def t_ends(people, measure, within=(-math.inf, math.inf), level=0.975):
  """Ends of the t interval of `measure(rows)`, on the scale of `within`.

  Args:
    people: [N] ids.
    measure: of a list of rows.
    within: ends of the range of the measure, infinite where it has none.
  """
  people = np.asarray(people)
  names = sorted(set(people))
  value = measure(list(range(len(people))))
  without = [
      measure([r for r in range(len(people)) if people[r] != name])
      for name in names
  ]
  n, mean = len(names), sum(without) / len(names)
  se = math.sqrt((n - 1) / n * sum((x - mean) ** 2 for x in without))
  low, high = within
  to, back = {
      (False, False): (lambda x: x, lambda z: z),
      (True, False): (lambda x: math.log(x - low),
                      lambda z: low + math.exp(z)),
      (False, True): (lambda x: -math.log(high - x),
                      lambda z: high - math.exp(-z)),
      (True, True): (
          lambda x: math.log((x - low) / (high - x)),
          lambda z: (low + high * math.exp(z)) / (1 + math.exp(z))),
  }[math.isfinite(low), math.isfinite(high)]
  step = 1e-5 * (1 + abs(value)) * min(1, value - low, high - value)
  slope = (to(value + step) - to(value - step)) / (2 * step)
  reach = sps.t.ppf(level, n - 1) * se * slope
  return back(to(value) - reach), back(to(value) + reach)
