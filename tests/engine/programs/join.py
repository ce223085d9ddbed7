"""Rank 1 never joins: it ends before, or does not come. Rank 0 joins when that is so. Arguments: which of both, a folder."""

import os
import sys
import time
from pathlib import Path

from centernet.engine.communicator import create

process = Path(sys.argv[2]) / "process"
if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
    process.with_name("new").write_text(str(os.getpid()))
    process.with_name("new").rename(process)
    if sys.argv[1] == "exit":
        sys.exit(0)
    time.sleep(600)

while not process.exists() or (sys.argv[1] == "exit" and Path("/proc", process.read_text(), "environ").exists()):
    time.sleep(0.02)

create(timeout=5.0)
