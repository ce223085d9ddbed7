"""What every folder under `tasks/` promises, whoever wrote it."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import nnabla as nn
import numpy as np
import pytest
from pydantic import TypeAdapter

from centernet import plugins
from centernet.geometry.nms import SoftNms
from centernet.models.specs import Layout
from centernet.structures import Annotations, Array, ClassTable, Detections, Grid, Sample
from centernet.tasks.base import MetricProtocol, Task

CLASSES = ClassTable(("cat", "dog", "owl"), (3, 7, 11))
GRID = Grid(64, 96, 4)
# Inside the map also when mirrored; no centre on a border between cells.
BOXES = ((8, 8, 33, 41), (40, 12, 83, 55), (9, 30, 20, 52))
TOLERANCE = {"rtol": 1e-4, "atol": 1e-6}


def load_twin(name: str) -> ModuleType:
    """The slow losses of a task: `tests/tasks/<name>/twin.py`."""
    path = Path(__file__).resolve().parents[1] / "tasks" / name / "twin.py"
    assert path.is_file(), f"{path}: every task has its losses once more, slow and obvious"
    spec = importlib.util.spec_from_file_location(f"twin_of_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_of(name: str) -> Any:
    """The configuration of `task` or of `task variant`, where the twin names variants."""
    task, _, variant = name.partition(" ")
    options = load_twin(task).VARIANTS[variant] if variant else {}
    return TypeAdapter(plugins.load("centernet.tasks", task).Config).validate_python(options)


def make(name: str, layout: Layout = "nchw") -> Task:
    task: Task = plugins.load("centernet.tasks", name.partition(" ")[0]).build(config_of(name), CLASSES, layout=layout)
    return task


def cases() -> list[str]:
    """Every task, and its variants."""
    tasks = plugins.names("centernet.tasks")
    return [*tasks, *(f"{task} {variant}" for task in tasks for variant in getattr(load_twin(task), "VARIANTS", ()))]


@pytest.fixture(params=cases())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(name: str) -> Task:
    return make(name)


def sample(boxes: Sequence[Sequence[float]] = BOXES, class_ids: Sequence[int] = (0, 2, 1)) -> Sample:
    image = np.zeros((GRID.height, GRID.width, 3), np.uint8)
    return Sample(image=image, boxes=np.asarray(boxes, float).reshape(-1, 4), class_ids=np.asarray(class_ids[: len(boxes)], int))


def batch_of(task: Task, *samples: Sample) -> dict[str, Array]:
    """Targets as a loader stacks them, counts summed as a training step does."""
    encoded = [task.encode(s, GRID) for s in samples]
    stacked = {key: np.stack([e[key] for e in encoded]) for key in encoded[0]}
    return {key: array.sum() if key in task.counts else array for key, array in stacked.items()}


def test_the_encoders_work_in_a_process_without_nnabla() -> None:
    tasks = [make(name) for name in cases()]
    data = pickle.dumps([(task.encode, sample(), GRID) for task in tasks])
    program = """
import pickle, sys
calls = pickle.load(sys.stdin.buffer)
print([sorted(encode(*given)) for encode, *given in calls], [name for name in sys.modules if "nnabla" in name])
"""
    ended = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True)
    assert ended.stdout.decode() == f"{[sorted(task.encode(sample(), GRID)) for task in tasks]} []\n", ended.stderr


def random_maps(task: Task, batch: int, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {key: rng.normal(size=(batch, head.channels, *GRID.cells)).astype(np.float32) for key, head in task.heads.items()}


def variables(arrays: Mapping[str, Array], *, learns: bool = False) -> dict[str, nn.Variable]:
    return {key: nn.Variable.from_numpy_array(np.asarray(a, np.float32), need_grad=learns) for key, a in arrays.items()}


def values(losses: Mapping[str, nn.Variable]) -> dict[str, float]:
    nn.forward_all(list(losses.values()))
    assert all(loss.shape == () for loss in losses.values())
    return {key: float(loss.d) for key, loss in losses.items()}


def losses_of(task: Task, maps: Mapping[str, Array], targets: Mapping[str, Array]) -> dict[str, float]:
    return values(task.losses([variables(maps)], variables(targets)))


def channel_last(maps: Mapping[str, Array]) -> dict[str, Array]:
    return {key: array.transpose(0, 2, 3, 1) for key, array in maps.items()}


def assert_finds(detections: Detections, wanted: Sample, *, atol: float = 1e-3) -> None:
    found = detections.above(0.5)
    assert sorted(found.class_ids.tolist()) == sorted(wanted.class_ids.tolist())
    order = np.lexsort(found.boxes.T), np.lexsort(wanted.boxes.T)
    np.testing.assert_allclose(found.boxes[order[0]], wanted.boxes[order[1]], atol=atol)
    np.testing.assert_array_equal(found.class_ids[order[0]], wanted.class_ids[order[1]])


def read(task: Task, graph: Mapping[str, nn.Variable], *, images: int, k: int) -> list[Detections]:
    """What a decoding graph answers."""
    number = {variable.shape[1] for variable in graph.values()}
    assert {variable.shape[0] for variable in graph.values()} == {images}
    assert len(number) == 1
    assert min(number) >= k
    nn.forward_all(list(graph.values()))
    return task.read_decoded({key: variable.d for key, variable in graph.items()}, k=k)


def assert_same(found: Sequence[Detections], expected: Sequence[Detections]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-4)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
        np.testing.assert_array_equal(one.class_ids, other.class_ids)


def test_a_task_is_named_as_its_folder_and_names_its_heads_and_losses_once(task: Task, name: str) -> None:
    assert task.name == name.partition(" ")[0]
    assert len({head.scope for head in task.heads.values()}) == len(task.heads)
    losses = losses_of(task, random_maps(task, 1), batch_of(task, sample()))
    assert set(losses) == set(task.loss_weights) == set(task.published_names)


def test_targets_of_any_sample_have_the_same_shapes_and_types(task: Task) -> None:
    empty, full = task.encode(sample(()), GRID), task.encode(sample(), GRID)
    assert {k: (a.shape, a.dtype) for k, a in empty.items()} == {k: (a.shape, a.dtype) for k, a in full.items()}
    assert all(full[key].shape == () for key in task.counts)


def test_decoding_the_ideal_answer_to_the_targets_gives_back_the_objects(task: Task) -> None:
    wanted = [sample(), sample(()), sample(BOXES[1:], (1, 1))]
    found = task.decode(task.ideal_outputs(batch_of(task, *wanted), GRID), k=10, grid=GRID)
    assert len(found) == len(wanted)
    for detections, objects in zip(found, wanted, strict=True):
        assert_finds(detections, objects)


@pytest.mark.parametrize("boxes", [BOXES, ()])
def test_what_is_perfect_has_every_head_once_and_finds_the_objects(task: Task, boxes: Sequence[Sequence[float]]) -> None:
    wanted = sample(boxes)
    perfect = task.oracles(wanted, GRID)
    assert sorted(head for part in perfect.values() for head in part) == sorted(task.heads)
    answer = {head: maps for part in perfect.values() for head, maps in part.items()}
    for head, maps in answer.items():
        assert maps.shape == (1, task.heads[head].channels, *GRID.cells)
        assert maps.dtype == np.float32
    (found,) = task.decode(answer, k=10, grid=GRID)
    assert_finds(found, wanted)


def test_what_is_perfect_takes_nothing_from_the_ideal_answer(task: Task) -> None:
    ideal = task.ideal_outputs(batch_of(task, sample()), GRID)
    for part in task.oracles(sample(), GRID).values():
        (found,) = task.decode({**ideal, **part}, k=10, grid=GRID)
        assert_finds(found.select(np.arange(len(BOXES))), sample())


def test_all_objects_are_perfect_also_more_than_become_targets(task: Task) -> None:
    number = task.encode(sample(), GRID)["mask"].size + 1
    objects = sample([BOXES[i % 2] for i in range(number)], [i % 2 for i in range(number - 1)] + [2])
    answer = {head: maps for part in task.oracles(objects, GRID).values() for head, maps in part.items()}
    (found,) = task.decode(answer, k=10, grid=GRID)
    assert 2 in found.above(0.5).class_ids


def test_every_loss_is_zero_at_the_ideal_answer(task: Task) -> None:
    targets = batch_of(task, sample(), sample(()))
    for loss, value in losses_of(task, task.ideal_outputs(targets, GRID), targets).items():
        assert abs(value) < 1e-6, loss


@pytest.mark.parametrize("magnitude", [0.0, 100.0, -100.0, 1e4, -1e4])
def test_losses_and_gradients_are_finite_at_extreme_answers(task: Task, magnitude: float) -> None:
    maps = variables({key: np.full_like(array, magnitude) for key, array in random_maps(task, 2).items()}, learns=True)
    losses = task.losses([maps], variables(batch_of(task, sample(), sample(()))))
    for loss in losses.values():
        loss.forward()
        for variable in maps.values():
            variable.g = 0
        loss.backward()
        assert np.isfinite(loss.d)
        assert all(np.isfinite(variable.g).all() for variable in maps.values())


def test_losses_of_images_without_objects_are_finite_and_do_not_pull_at_regressions(task: Task) -> None:
    maps = variables(random_maps(task, 1), learns=True)
    losses = task.losses([maps], variables(batch_of(task, sample(()))))
    assert all(np.isfinite(value) for value in values(losses).values())
    sum(losses.values()).backward()
    for key, head in task.heads.items():
        assert head.kind == "heatmap" or not maps[key].g.any()


def test_losses_equal_their_slow_twin(task: Task, name: str) -> None:
    targets, maps = batch_of(task, sample(), sample(()), sample(BOXES[:1])), random_maps(task, 3)
    expected = load_twin(name.partition(" ")[0]).losses(maps, targets, config_of(name))
    for loss, value in losses_of(task, maps, targets).items():
        np.testing.assert_allclose(value, expected[loss], err_msg=loss, **TOLERANCE)


def test_losses_of_the_parts_of_a_batch_add_up_to_the_loss_of_the_batch(task: Task) -> None:
    samples, maps = (sample(), sample(()), sample(BOXES[:1])), random_maps(task, 3)
    whole = batch_of(task, *samples)
    parts = []
    for part in (slice(0, 1), slice(1, 3)):
        targets = batch_of(task, *samples[part]) | {key: whole[key] for key in task.counts}
        parts.append(losses_of(task, {key: array[part] for key, array in maps.items()}, targets))
    for loss, value in losses_of(task, maps, whole).items():
        np.testing.assert_allclose(sum(part[loss] for part in parts), value, **TOLERANCE)


def test_losses_are_the_mean_over_stacks(task: Task) -> None:
    targets, stacks = batch_of(task, sample()), [random_maps(task, 1, seed) for seed in (1, 2)]
    single = [losses_of(task, maps, targets) for maps in stacks]
    both = values(task.losses([variables(maps) for maps in stacks], variables(targets)))
    for loss, value in both.items():
        np.testing.assert_allclose(value, np.mean([one[loss] for one in single]), **TOLERANCE)


def test_losses_do_not_depend_on_the_layout(task: Task, name: str) -> None:
    targets, maps = batch_of(task, sample(), sample(BOXES[1:])), random_maps(task, 2)
    nhwc = losses_of(make(name, "nhwc"), channel_last(maps), targets)
    for loss, value in losses_of(task, maps, targets).items():
        np.testing.assert_allclose(nhwc[loss], value, **TOLERANCE)


@pytest.mark.parametrize("layout", get_args(Layout))
def test_the_graph_decodes_as_the_arrays_do(task: Task, layout: Layout) -> None:
    maps, k = random_maps(task, 2), 20
    graph = task.decode_graph(variables(maps if layout == "nchw" else channel_last(maps)), k=k, grid=GRID, layout=layout)
    assert_same(read(task, graph, images=2, k=k), task.decode(maps, k=k, grid=GRID))


def test_an_image_and_its_mirror_image_merge_to_the_objects_of_the_image(task: Task) -> None:
    plain = sample()
    mirrored = sample([(GRID.width - x2, y1, GRID.width - x1, y2) for x1, y1, x2, y2 in BOXES])
    both = task.ideal_outputs(batch_of(task, plain, mirrored), GRID)
    (found,) = task.decode(both, k=10, grid=GRID, flipped=True)
    assert_finds(task.merge_scales([found], limit=10), plain)


@pytest.mark.parametrize("layout", get_args(Layout))
def test_the_graph_merges_mirror_images_as_the_arrays_do(task: Task, layout: Layout) -> None:
    maps, k = random_maps(task, 4), 20
    fed = variables(maps if layout == "nchw" else channel_last(maps))
    graph = task.decode_graph(fed, k=k, grid=GRID, layout=layout, flipped=True)
    assert_same(read(task, graph, images=2, k=k), task.decode(maps, k=k, grid=GRID, flipped=True))


def test_of_a_graph_that_decodes_more_the_best_are_read(task: Task) -> None:
    maps, few = random_maps(task, 1), 7
    graph = task.decode_graph(variables(maps), k=20, grid=GRID, layout="nchw")
    (found,), (alone,) = read(task, graph, images=1, k=few), task.decode(maps, k=few, grid=GRID)
    assert_same([found.select(np.arange(few))], [alone.select(np.arange(few))])
    assert len(task.merge_scales([found], limit=few)) == len(task.merge_scales([alone], limit=few)) == few


def test_scales_merge_to_all_their_detections_best_first(task: Task) -> None:
    maps = random_maps(task, 2)
    # Far apart, so that nothing is suppressed.
    parts = [found.select(np.arange(5)) for found in task.decode(maps, k=5, grid=GRID)]
    parts = [replace(part, boxes=part.boxes + 1000 * np.arange(5)[:, None] + 10_000 * scale) for scale, part in enumerate(parts)]
    merged = task.merge_scales(parts, limit=7)
    assert merged.scores.tolist() == sorted([*parts[0].scores, *parts[1].scores], reverse=True)[:7]


def test_an_object_found_at_two_scales_is_one_where_it_is_suppressed(task: Task) -> None:
    (found,) = task.decode(task.ideal_outputs(batch_of(task, sample()), GRID), k=3, grid=GRID)
    merged = task.merge_scales([found, found], limit=100, soft_nms=SoftNms())
    assert_finds(merged, sample())
    copies = 2 if task.suppression is None else 1
    assert len(task.merge_scales([found, found], limit=100).above(0.5)) == copies * len(BOXES)


@pytest.mark.parametrize("flipped", [False, True])
def test_maps_are_shown_as_one_per_image_and_heatmaps_as_probabilities(task: Task, flipped: bool) -> None:
    maps = random_maps(task, 2)
    shown = task.shown_maps(maps, flipped=flipped)
    images = 1 if flipped else 2
    assert {key: array.shape for key, array in shown.items()} == {key: (images, *array.shape[1:]) for key, array in maps.items()}
    for key, head in task.heads.items():
        if head.kind == "heatmap":
            assert 0 <= shown[key].min() < shown[key].max() <= 1
        elif not flipped:
            np.testing.assert_array_equal(shown[key], maps[key])


def test_whatever_is_decoded_is_possible_also_after_rounding(task: Task) -> None:
    maps = random_maps(task, 1)
    rounded = {key: array.astype(np.float16).astype(np.float32) for key, array in maps.items()}
    possible = task.possible(maps, grid=GRID, lowest=1e-4, score_slack=1e-2, map_slack=1e-2)
    for outputs, atol in ((maps, 1e-3), (rounded, 0.5)):
        (found,) = task.decode(outputs, k=20, grid=GRID)
        for box, score, class_id in zip(found.boxes, found.scores, found.class_ids, strict=True):
            near = (possible.class_ids == class_id) & (abs(possible.scores - score) <= max(atol / 50, 1e-4))
            assert abs(possible.boxes[near] - box).max(axis=1).min() <= atol


def test_nothing_is_possible_where_nothing_is(task: Task) -> None:
    maps = {key: np.full_like(array, -50.0 if task.heads[key].kind == "heatmap" else 0) for key, array in random_maps(task, 1).items()}
    assert len(task.possible(maps, grid=GRID, lowest=1e-4, score_slack=1e-3, map_slack=1e-3)) == 0


def annotations_of(samples: Sequence[Sample]) -> Annotations:
    counts = [len(s.boxes) for s in samples]
    boxes = np.concatenate([s.boxes for s in samples]).astype(float)
    return Annotations(
        image_ids=np.arange(len(samples)) + 100,
        image_sizes=np.full((len(samples), 2), (GRID.height, GRID.width)),
        file_names=[f"{i}.png" for i in range(len(samples))],
        image_index=np.repeat(np.arange(len(samples)), counts),
        boxes=boxes,
        class_ids=np.concatenate([s.class_ids for s in samples]),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(1),
        is_crowd=np.zeros(len(boxes), bool),
        is_difficult=np.zeros(len(boxes), bool),
    )


@pytest.mark.parametrize("protocol", get_args(MetricProtocol))
def test_the_metric_is_one_for_perfect_detections_however_they_are_shared_out(task: Task, protocol: MetricProtocol) -> None:
    samples = [sample(), sample(()), sample(BOXES[1:], (1, 1))]
    found = task.decode(task.ideal_outputs(batch_of(task, *samples), GRID), k=4, grid=GRID)
    annotations = annotations_of(samples)
    shares = [task.metric(annotations, protocol=protocol) for _ in range(2)]
    for image, detections in enumerate(found):
        shares[image % 2].update(image, detections.above(0.5))
    shares[0].merge([share.state() for share in shares])
    result = shares[0].compute()
    assert result["AP"] == pytest.approx(1)
    assert result["AP50"] == pytest.approx(1)
    assert shares[0].overall() == {name: pytest.approx(result[name]) for name in ("AP", "AP50")}
    per_class = result["per_class"]
    assert isinstance(per_class, dict)
    assert list(per_class) == list(CLASSES.names)
    assert len(shares[0].detections_json()) == 5
