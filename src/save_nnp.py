"""Write a network as .nnp: `python src/save_nnp.py ctdet --checkpoint FILE.h5`."""

import sys

from centernet.cli import run

if __name__ == "__main__":
    sys.exit(run("export", program="save_nnp.py"))
