"""Measure a detector's average precision: `python src/test.py ctdet --data_dir DIR --checkpoint FILE.h5`."""

import sys

from centernet.cli import run

if __name__ == "__main__":
    sys.exit(run("test", program="test.py"))
