"""What `recipes.py` measured as a table, as curves, and as the lines that the documentation and the files in recipes/ have of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Runs = Sequence[Mapping[str, Any]]  # one for each seed, as `recipes.train` returns them
BASELINE = "published"
METRICS = ("AP50", "AP")


def verdict(runs: Runs, baseline: Runs) -> str:
    """Whether AP at the end is better or worse than the baseline's with every seed; one alone does not tell."""
    differences = [run["AP"][-1] - base["AP"][-1] for run, base in zip(runs, baseline, strict=True)]
    if len(differences) == 1:
        return f"{100 * differences[0]:+.1f} AP with the one seed"
    if all(one > 0 for one in differences):
        return "better"
    return "worse" if all(one < 0 for one in differences) else "no difference beyond the seeds'"


def last(metric: str, runs: Runs) -> str:
    """Mean and half the range over the seeds after the last epoch, in points."""
    values = 100 * np.array([run[metric][-1] for run in runs])
    return f"{values.mean():.1f}" + (f" ± {np.ptp(values) / 2:.1f}" if len(runs) > 1 else "")


def table(measured: Mapping[str, Runs]) -> list[str]:
    """In Markdown, the baseline first."""
    lines = [f"| recipe | {' | '.join(METRICS)} | against the published |", "|---|---|---|---|"]
    for name, runs in measured.items():
        said = "" if name == BASELINE else verdict(runs, measured[BASELINE])
        lines.append(f"| {name} | {' | '.join(last(metric, runs) for metric in METRICS)} | {said} |")
    return lines


def effect(title: str, runs: Runs, baseline: Runs) -> str:
    """The line in the head of a recipe's file; `title` begins with the data."""
    numbers = ", ".join(f"{metric} {last(metric, runs)} (published {last(metric, baseline)})" for metric in METRICS)
    return f"# {title}: {numbers}: {verdict(runs, baseline)}."


def write(root: Path, data: str, title: str, measured: Mapping[str, Runs]) -> None:
    """Into a checkout: docs/images/recipes_DATA.png and .json, the table between its marks in docs/recipes.md, and the line
    `# DATA, ...` of every file in recipes/ that was measured.
    """
    images = root / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    draw(images / f"recipes_{data}.png", title, measured)
    numbers = {name: [{key: run[key] for key in run if key != "experiment"} for run in runs] for name, runs in measured.items()}
    tree = {"title": title, "experiment": measured[BASELINE][0]["experiment"], "recipes": numbers}
    (images / f"recipes_{data}.json").write_text(json.dumps(tree, indent=1) + "\n")
    page = root / "docs" / "recipes.md"
    marks = f"<!-- {data}: benchmarks/recipes.py writes it -->", f"<!-- end of {data} -->"
    picture = f"![AP over the epochs](images/recipes_{data}.png)"
    text = "\n".join([marks[0], "", f"{title}:", "", *table(measured), "", picture, "", marks[1]])
    _replace(page, f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", text)
    for name, runs in measured.items():
        path = root / "recipes" / f"{name}.yaml"
        if path.is_file():
            _replace(path, rf"^# {data}, [^\n]*", effect(title, runs, measured[BASELINE]))


def draw(path: Path, title: str, measured: Mapping[str, Runs]) -> None:
    """The curves: means over the seeds, and around them from the worst to the best."""
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), METRICS, strict=True):
        for number, (name, runs) in enumerate(measured.items()):
            epochs, values = runs[0]["epochs"], 100 * np.array([run[metric] for run in runs])
            style: dict[str, Any] = {"color": "black", "linestyle": "--"} if name == BASELINE else {"color": f"C{number}"}
            axes.plot(epochs, values.mean(axis=0), marker=".", label=name, **style)
            axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.12, linewidth=0)
        axes.set(xlabel="epoch", ylabel=f"{metric}, held out", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.axes[0].legend(loc="upper left", fontsize=9)
    figure.suptitle(title, fontsize=11)
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]


def _replace(path: Path, pattern: str, text: str) -> None:
    """The one place that the pattern finds; an AssertionError says that there is not one."""
    new, count = re.subn(pattern, lambda _: text, path.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert count == 1, f"{path}: {pattern} is there {count} times"
    path.write_text(new)
