"""What programs of `experiments` set, and can say, before torch is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PRINT = "import experiments, os; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("set_by_user", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_workers_that_wait_spin_for_a_short_time_only_unless_the_user_has_said_how_long(set_by_user, spins):
    environ = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    printed = subprocess.run(
        [sys.executable, "-c", PRINT], env=environ | set_by_user, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == spins


def test_the_loop_and_the_comparison_of_planners_can_print_before_they_load_what_takes_seconds():
    program = "import sys, experiments.self_improve, experiments.evaluate; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "scipy.stats"} & set(loaded)
