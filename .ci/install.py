"""Installs into a virtual environment, with uv where it can be had and else with pip, and prints each step's seconds.

python3 .ci/install.py .venv -e ".[test]"       # what follows the folder goes to `pip install`
"""

import ast
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# pip's settings, and the variables in which uv takes the same. uv reads none of pip's configuration.
UV_NAMES = {
    "index-url": "UV_INDEX_URL",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}
PIP_SECTIONS = ("global", "install", ":env:")  # the later ones win


@contextmanager
def step(title: str) -> Iterator[None]:
    """Prints what begins, and how long it took if it ended well."""
    print(f"install: {title} ...", flush=True)
    start = time.perf_counter()
    yield
    print(f"install: {title}: {time.perf_counter() - start:.0f} s", flush=True)


def pip_settings(listing: str) -> dict[str, str]:
    """Returns the settings in what `pip config list` printed: lines as global.index-url='https://…'."""
    lines = [line.partition("=") for line in listing.splitlines()]
    found = [(*name.rpartition(".")[::2], ast.literal_eval(value)) for name, _, value in lines if value]
    return {key: value for section in PIP_SECTIONS for own, key, value in found if own == section}


def uv_environment(settings: dict[str, str], inherited: dict[str, str]) -> dict[str, str]:
    """Returns the environment in which uv finds the packages that pip would find. What a user set for uv wins."""
    same = {UV_NAMES[key]: " ".join(value.split()) for key, value in settings.items() if key in UV_NAMES}
    same["UV_FIND_LINKS"] = same.get("UV_FIND_LINKS", "").replace(" ", ",")
    same["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # the best version of all indexes, as pip takes it
    return {name: value for name, value in same.items() if value} | inherited


def install(folder: Path, arguments: list[str]) -> None:
    """Installs what `pip install` would, into the environment in a folder. Raises CalledProcessError if it fails."""
    python = folder / "bin" / "python"
    if not (folder / "bin" / "pip").exists():
        with step(f"virtual environment {folder}"):
            venv.create(folder, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip"]
    try:
        if not (folder / "bin" / "uv").exists():
            with step("uv"):
                subprocess.run([*pip, "install", "--quiet", "--no-compile", "uv"], check=True)
        listing = subprocess.run([*pip, "config", "list"], check=True, capture_output=True, text=True).stdout
        settings = pip_settings(listing)
        constraints = [word for path in settings.get("constraint", "").split() for word in ("-c", path)]
        uv = [str(folder / "bin" / "uv"), "pip", "install", "--python", str(python)]
        with step(" ".join(arguments)):
            environment = uv_environment(settings, dict(os.environ))
            subprocess.run([*uv, *constraints, *arguments], check=True, env=environment)
    except (subprocess.CalledProcessError, OSError):
        print("install: no uv, or it failed: pip installs instead, which takes some minutes", flush=True)
        with step(" ".join(arguments)):
            subprocess.run([*pip, "install", "--no-compile", *arguments], check=True)


if __name__ == "__main__":
    try:
        install(Path(sys.argv[1]), ["-c", "constraints.txt", *sys.argv[2:]])
    except subprocess.CalledProcessError as failed:
        sys.exit(f"install: pip could not install {' '.join(sys.argv[2:])}, exit status {failed.returncode}")
