"""A thread that has computed in parallel keeps no workers while an engine works, nor an engine afterwards."""

import subprocess
import sys

import pytest

COUNT = """
import os
from pathlib import Path

import torch

from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.openmp import release_openmp_workers

if not list((Path(torch.__file__).parent / "lib").glob("libgomp*")) or not os.path.isdir("/proc/self/task"):
    print("none")
    raise SystemExit

def num_threads():
    return len(os.listdir("/proc/self/task"))

def multiply():
    return torch.ones(512, 512) @ torch.ones(512, 512)

async def counted():
    before = num_threads()
    multiply()
    return before, num_threads()

torch.set_num_threads(3)
with Engine() as engine:
    async def nothing():
        pass
    engine.run(nothing())  # starts its thread
    alone = num_threads()
    multiply()
    print(num_threads() - alone)  # two workers
    before, during = engine.run(counted())
    print(before - alone, during - alone, num_threads() - alone)
    multiply()
    print(num_threads() - alone)
release_openmp_workers()
print(float(multiply()[0, 0]))
"""


def test_workers_are_given_back_whenever_another_thread_computes():
    told = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True).stdout.split()
    if told == ["none"]:
        pytest.skip("torch does not compute with GNU's OpenMP here")
    assert told == ["2", "0", "2", "0", "2", "512.0"]
