"""Which functions of a network ran in which number type: seen while they ran, not what a context promises."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class FunctionType(NamedTuple):
    """Functions of one kind: their NNabla name, the type of what they gave out, and those of parameters and statistics they read."""

    function: str
    output: str
    parameters: str


def function_type(function: Any) -> FunctionType:
    """Of a function that just ran: for use in a hook, since arrays are cleared once nobody needs them."""
    leaves = {str(variable.data.dtype) for variable in function.inputs[1:] if variable.parent is None}
    return FunctionType(function.info.type_name, str(function.outputs[0].data.dtype), "+".join(sorted(leaves)))


def summary(counts: Mapping[FunctionType, int]) -> Iterator[str]:
    """A line for each type: `float16: 20 Convolution, 17 ReLU`."""
    for output in sorted({kind.output for kind in counts}):
        of_type = Counter[str]()
        for kind, count in counts.items():
            if kind.output == output:
                of_type[kind.function] += count
        yield f"{output}: " + ", ".join(f"{count} {name}" for name, count in of_type.most_common())


def table(counts: Mapping[FunctionType, int]) -> str:
    """The same with what parameters they read, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FunctionType._fields, "count"])
    writer.writerows(sorted((*kind, count) for kind, count in counts.items()))
    return text.getvalue()
