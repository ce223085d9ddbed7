"""What a process that is killed would leave behind, removed by one that outlives it."""

from __future__ import annotations

import subprocess
from functools import cache
from multiprocessing import util

# Waits for the end of its input, which is the end of the process that holds the other end, however that ended.
REMOVE = 'cat > /dev/null; rm -rf -- "$1"'
AFTER_ALL = -1000  # multiprocessing itself removes the folder before, at -100, and wants it to be there


@cache
def remove_fork_server_folder() -> None:
    """See to it that the folder with the fork server's socket (`pymp-*`) goes with this process, also when that is killed."""
    command = ["/bin/sh", "-c", REMOVE, "sh", util.get_temp_dir()]
    # A session of its own: who kills the others of a group must not get this one, too.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    util.Finalize(None, process.communicate, exitpriority=AFTER_ALL)
