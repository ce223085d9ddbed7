"""The explanation as one page that needs nothing but a browser, as JSON, and as a table for the screen."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from centernet.errors import OutputError
from centernet.experiment import report
from centernet.experiment.explain import charts
from centernet.experiment.explain.explanation import Explanation
from centernet.experiment.explain.findings import MISTAKES, WORDS, ClassFindings
from centernet.experiment.explain.pictures import figures
from centernet.metrics.detection_errors import BACKGROUND, FOREGROUND

PAGE, NUMBERS = "explain.html", "explain.json"


def write(explanation: Explanation, folder: Path) -> list[Path]:
    """Write `explain.html` and `explain.json`; OutputError where one cannot be written."""
    numbers = report.write_json(folder / NUMBERS, as_tree(explanation))
    page = folder / PAGE
    try:
        page.write_text(html(explanation), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{page}: cannot be written: {error.strerror}") from None
    return [page, numbers]


def as_tree(explanation: Explanation) -> dict[str, Any]:
    """What the JSON file holds."""
    found, dataset = explanation.findings, explanation.dataset
    tree = asdict(found)
    tree["common"] = None if found.common is None else found.common._asdict()
    tree["mistakes"] = {one.pop("kind"): one for one in tree["mistakes"]}
    tree["classes"] = {
        one.name: {**row, "point": None if one.point is None else one.point._asdict()}
        for one, row in zip(found.classes, tree["classes"], strict=True)
    }
    tree["confusions"] = [{"object": true, "taken_for": said, "count": number} for true, said, number in found.confusions]
    tree["worst"] = [
        {"image": dataset.name(one.index), "image_id": int(dataset.annotations.image_ids[one.index]), "mistakes": one.mistakes}
        for one in found.worst
    ]
    for row in tree["classes"].values():
        del row["name"]
    return {
        "results": explanation.results,
        "overlaps": {"foreground": FOREGROUND, "background": BACKGROUND},
        "perfect": explanation.perfect,
        "not_known": explanation.not_known or None,
        "thresholds": found.thresholds,
        **tree,
    }


def table(explanation: Explanation) -> str:
    """The explanation as lines for the screen."""
    now, found = explanation.results["AP"], explanation.findings
    width = max(map(len, [*WORDS.values(), *explanation.perfect]))
    lines = [f"{'if perfect':<{width}}      AP  change"]
    lines += [f"{name:<{width}}  {row['AP']:6.4f}  {row['AP'] - now:+.4f}" for name, row in explanation.perfect.items()]
    lines += [explanation.not_known] if explanation.not_known else []
    lines += ["", f"{'mistake':<{width}}   count   share  AP50 if mended"]
    lines += [f"{WORDS[one.kind]:<{width}}  {one.count:6d}  {one.share:6.1%}  {one.gain:+.4f}" for one in found.mistakes]
    lines += ["", f"at the best thresholds: {_counted(explanation)}", demo_option(found.thresholds)]
    return "\n".join(lines)


def demo_option(thresholds: dict[str, float]) -> str:
    """`--vis_thresh` with these scores; classes whose names it cannot take are left out."""
    parts = [f"{name}={score:g}" if name else f"{score:g}" for name, score in thresholds.items() if "," not in name]
    return f"--vis_thresh {shlex.quote(','.join(parts))}"


def html(explanation: Explanation) -> str:
    """The page."""
    found, results = explanation.findings, explanation.results
    unwritten = [name for name in found.thresholds if "," in name]
    template = Template(files("centernet.experiment.explain").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title="Where the average precision goes",
        model=escape(str(results.get("model", ""))),
        protocol=escape(report.protocol_line(results["protocol"])),
        tiles=_tiles(explanation),
        perfect=_perfect(explanation),
        not_known=f"<p><b>{escape(explanation.not_known)}</b></p>" if explanation.not_known else "",
        mistakes=_mistakes(explanation),
        confusions=_confusions(found.confusions),
        foreground=f"{FOREGROUND:g}",
        background=f"{BACKGROUND:g}",
        curves=charts.curves(found.classes),
        thresholds=escape(demo_option(found.thresholds)),
        unwritten=f"<p>Not there, since their names hold a comma: {escape('; '.join(unwritten))}.</p>" if unwritten else "",
        classes=_classes(found.classes),
        legend=_legend(),
        figures="".join(figures(found.worst, explanation.judgement, explanation.dataset)) or "<p>No image has a mistake.</p>",
        colors="\n".join(f"i.{kind} {{ background: var(--{kind}) !important; }}" for kind in ("right", *MISTAKES)),
        ignored=escape(explanation.ignored),
    )


def _counted(explanation: Explanation) -> str:
    found = explanation.findings
    return f"{found.num_right} of {found.num_shown} detections are right, {found.num_found} of {found.num_objects} objects are found"


def _tiles(explanation: Explanation) -> str:
    found, results = explanation.findings, explanation.results
    tiles = [(name, f"{results[name]:.3f}") for name in ("AP", "AP50", "AP75") if isinstance(results.get(name), float)]
    tiles.append(("of the objects found", f"{found.num_found / max(found.num_objects, 1):.0%}"))
    tiles.append(("of the detections right", f"{found.num_right / max(found.num_shown, 1):.0%}"))
    return "".join(f"<div><b>{number}</b>{name}</div>" for name, number in tiles)


def _perfect(explanation: Explanation) -> str:
    now = explanation.results["AP"]
    rows = [("as it is", now, ""), *((name, row["AP"], f"{row['AP'] - now:+.4f}") for name, row in explanation.perfect.items())]
    cells = ([escape(name), f"{ap:.4f}", change, _bar(ap)] for name, ap, change in rows)
    return _table(["perfect", "AP", "change", ""], cells)


def _mistakes(explanation: Explanation) -> str:
    most = max(one.share for one in explanation.findings.mistakes) or 1.0
    cells = (
        [WORDS[one.kind], str(one.count), f"{one.share:.1%}", f"{one.gain:+.4f}", _bar(one.share / most, one.kind)]
        for one in explanation.findings.mistakes
    )
    return _table(["mistake", "count", "share", "AP50 if mended", ""], cells)


def _confusions(confusions: Sequence[tuple[str, str, int]]) -> str:
    if not confusions:
        return ""
    cells = ([escape(true), escape(said), str(number)] for true, said, number in confusions)
    return f'<p>Most often taken for another class:</p><div class="wide">{_table(["object", "taken for", "count"], cells)}</div>'


def _classes(classes: Sequence[ClassFindings]) -> str:
    head = ["class", "objects", "AP50", "curve", "threshold", "precision", "recall", "F1", "found", *(WORDS[kind] for kind in MISTAKES)]
    return _table(head, map(_class_row, sorted(classes, key=lambda one: -one.num_objects)))


def _class_row(one: ClassFindings) -> list[str]:
    at = ["-"] * 4 if one.point is None else [f"{one.threshold:g}", *(f"{number:.3f}" for number in one.point[1:])]
    ap50 = "-" if one.ap50 < 0 else f"{one.ap50:.3f}"
    counts = [str(one.mistakes[kind]) for kind in MISTAKES]
    return [escape(one.name), str(one.num_objects), ap50, charts.small_curve(one), *at, str(one.num_found), *counts]


def _legend() -> str:
    return "".join(f'<span><i class="{kind}"></i>{word}</span>' for kind, word in {"right": "right", **WORDS}.items())


def _bar(share: float, kind: str = "") -> str:
    return f'<i class="{kind}" style="width:{max(0.0, min(share, 1.0)):.1%}"></i>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already; one that is a bar has the width for it."""
    titles = "".join(f"<th>{title}</th>" for title in head)
    body = "".join(
        "<tr>" + "".join(f'<td class="bar">{cell}</td>' if cell.startswith("<i ") else f"<td>{cell}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
