"""Change the layout of a parameter file: `python src/convert_parameter_format.py IN.h5 OUT.h5 -m nhwc -4`."""

import sys

from centernet.cli import run

if __name__ == "__main__":
    sys.exit(run("convert", program="convert_parameter_format.py"))
