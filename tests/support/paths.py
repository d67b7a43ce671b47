"""Where the project is, and where the data lie that are no part of it."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("ALPHALLM_DATA", ROOT.parent / "shared" / "data"))
