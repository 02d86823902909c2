"""Two processes under `jax.distributed` alone, without accfm.

`python jax_alone.py PORT INDEX WHAT`; see `test_jax_alone.py`.
"""

import os
import signal
import sys

import jax
import numpy as np
from jax.experimental import multihost_utils

port, index, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(
    f"127.0.0.1:{port}", 2, index, initialization_timeout=3,
    heartbeat_timeout_seconds=2, shutdown_timeout_seconds=5,
)
multihost_utils.sync_global_devices("all are there")
print("there", flush=True)
if what == "differ":
  multihost_utils.assert_equal(np.float32(index), "the learning rate differs")
if index == 1:
  os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[what])
signal.pause()  # JAX's own threads find out
