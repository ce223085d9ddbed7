"""Draw a network's structure: `python src/save_graph.py ctdet --arch dlav0 --num_layers 34`."""

import sys

from centernet.cli import run

if __name__ == "__main__":
    sys.exit(run("graph", program="save_graph.py"))
