"""Reads device files by native code, in a process of its own.

Run as a script by `native.Reader`: it imports nothing of accfm. A line of JSON
asks, {"path": file, "out": folder, "group": group, "names": [array, ...]};
a line of JSON answers, {"ok": true, "arrays": [...], "metadata": {...}} or
{"ok": false, "error": text}. Arrays lie in the folder as .npy files.
"""

import json
import os
import resource
import sys


def main() -> None:
  """Answers until its input ends."""
  limit = int(sys.argv[1])
  if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
  import actfast
  import numpy as np

  for line in sys.stdin:
    ask = json.loads(line)
    try:
      found = actfast.read(ask["path"])
      there = found["timeseries"].get(ask["group"], {})
      arrays = [n for n in ask["names"] if n in there]
      for name in arrays:
        np.save(os.path.join(ask["out"], f"{name}.npy"), there[name])
      answer = {"ok": True, "arrays": arrays, "metadata": found["metadata"],
                "format": found["format"]}
    except MemoryError:
      answer = {"ok": False, "error": "needs more memory than is allowed"}
    except Exception as error:  # whatever native code raises is an answer
      answer = {"ok": False, "error": " ".join(str(error).split())[:300]}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
  main()
