"""AP50 that keypoint triplets reach on rendered shapes, and how long that takes, from rendering to export.

    python benchmarks/triplet_learns.py      claims: AP50 at least 0.75, within 20 minutes on two cores

The quickstart with `cfg/quickstart_triplet.yaml`, on as many cores as there are, at most four.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from report import ROOT, Claim, environment, finish, print_load

LEAST_AP50, MOST_SECONDS = 0.75, 1200.0


def main() -> int:
    print_load()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        config, data = ROOT / "cfg" / "quickstart_triplet.yaml", Path(folder) / "shapes"
        command = [sys.executable, "-m", "centernet", "quickstart", "--config", str(config), "--data_dir", str(data), "-o", str(output)]
        subprocess.run(command, env=environment(), check=True)
        results = json.loads((output / "results.json").read_text())
    return finish(
        Claim("AP50 of keypoint triplets on shapes", results["AP50"], LEAST_AP50, "of 1", at_least=True),
        Claim("from rendering to export", results["seconds"], MOST_SECONDS, "s", at_least=False),
    )


if __name__ == "__main__":
    sys.exit(main())
