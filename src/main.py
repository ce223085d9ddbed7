"""Train a detector: `python src/main.py ctdet --data_dir DIR --train-config cfg/FILE.yaml`."""

import sys

from centernet.cli import run

if __name__ == "__main__":
    sys.exit(run("train", program="main.py"))
