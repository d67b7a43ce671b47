"""One file, one experiment; `records` holds what a run leaves behind.

GNU's OpenMP, with which torch computes on Linux, lets a worker that waits spin 300,000 times before it sleeps: some
10 ms on a recent processor, in which it keeps the very thread that it waits for from running as soon as another
program uses a core. A thousand times is long enough between two operations. The variable is read once, when torch
is loaded; whoever sets it, or `OMP_WAIT_POLICY`, keeps their own.
"""

import os

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
