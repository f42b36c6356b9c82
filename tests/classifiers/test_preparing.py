from __future__ import annotations

import json
import subprocess
import sys

# Libraries that no limit has reached are those that are loaded inside the work, so this needs a fresh interpreter.
SCRIPT = """
import numpy as np
from threadpoolctl import threadpool_info
from featx.classifiers.preparing import evaluate_parts

def evaluated(number):
    import sklearn.linear_model
    return [library["num_threads"] for library in threadpool_info()]

print(evaluate_parts(evaluated, 1, {False: np.zeros((4, 2), np.float32)}, 1))
"""


def test_work_on_a_fold_has_one_thread_in_every_library() -> None:
    """With more, sums would be rounded differently on another machine, and threads would wait for one another."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    (threads,) = json.loads(done.stdout)
    assert len(threads) >= 2
    assert set(threads) == {1}
