"""Detect and draw: `python src/demo.py ctdet --checkpoint FILE.h5 --demo IMAGE`."""

import sys

from centernet.cli import run

if __name__ == "__main__":
    sys.exit(run("demo", program="demo.py"))
