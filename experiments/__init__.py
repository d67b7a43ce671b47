"""Programs, one a file; each folder has what a group of them needs, and `runs` what all share.

Idle workers of GNU's OpenMP, which torch uses on Linux, spin 300,000 times before they sleep: some 10 ms on a recent
processor, in which they block the thread that they wait for as soon as another program uses a core. A thousand spins
are enough between two operations. The variable is read once, when torch is loaded; one that the user has set, or
`OMP_WAIT_POLICY`, is left alone.
"""

import os

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
