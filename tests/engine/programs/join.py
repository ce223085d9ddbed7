"""Rank 1 never joins: it ends before, or does not come."""

import os
import sys
import time

if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
    if sys.argv[1] == "exit":
        sys.exit(0)
    time.sleep(600)

from centernet.engine.communicator import create

create(timeout=5.0)
