"""What the tests here share."""

import os
import sys
from pathlib import Path

# Tiny models: threads would only wait for each other. (Before anything loads numeric libraries.)
os.environ["OMP_NUM_THREADS"] = "1"

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tools"))
