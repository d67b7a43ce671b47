"""Settings of all tests."""

import os

import experiments  # noqa: F401  # before torch, which reads what it sets

# isort: split
import torch
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: with two threads each they would wait on one another
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the programs that tests start

settings.register_profile("untimed", deadline=None)  # a machine under load is no fault of what is tested
settings.load_profile("untimed")
