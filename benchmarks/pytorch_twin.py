"""ResNet-18 CenterNet in eager PyTorch with the usual pre- and post-processing: what the benchmark of inference measures itself against.

A program for another interpreter, which needs PyTorch, OpenCV and NumPy but nothing of this project: `serve` answers lines on its
standard input with lines on its standard output.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

EPSILON = 1e-5  # of batch normalisation
BLOCKS = 2  # in each stage of ResNet-18


class Twin:
    """The network and what belongs around it.

    parameters: an .npz with the benchmark's NNabla parameters by name, so that both networks are the same.
    """

    def __init__(self, parameters: str, *, side: int, mean: tuple[float, ...], std: tuple[float, ...], stride: int, k: int) -> None:
        self._parameters = {name: torch.from_numpy(array) for name, array in np.load(parameters).items()}
        for name, tensor in self._parameters.items():
            if "/bn/" in name:
                self._parameters[name] = tensor.reshape(-1)
        self._side, self._stride, self._k = side, stride, k
        self._mean, self._std = (np.array(values, np.float32).reshape(1, 1, 3) for values in (mean, std))

    @torch.inference_mode()  # type: ignore[untyped-decorator,unused-ignore]
    def detect(self, path: str) -> npt.NDArray[Any]:
        """(k, 6): x1, y1, x2, y2 in pixels of the image, score, class id; best first."""
        image = cv2.imread(path)
        matrix = self._matrix(*image.shape[:2])
        warped = cv2.warpAffine(image, matrix, (self._side, self._side), flags=cv2.INTER_LINEAR)
        normalized = (warped.astype(np.float32) / 255.0 - self._mean) / self._std
        batch = torch.from_numpy(np.ascontiguousarray(normalized.transpose(2, 0, 1)[None]))
        boxes, scores, class_ids = self._decode(*self._network(batch))
        corners = boxes.numpy().reshape(-1, 2)
        inverse = cv2.invertAffineTransform(matrix)
        corners = corners @ inverse[:, :2].T + inverse[:, 2]
        return np.concatenate([corners.reshape(-1, 4), scores.numpy()[:, None], class_ids.numpy()[:, None]], axis=1)

    def _matrix(self, height: int, width: int) -> npt.NDArray[Any]:
        scale = self._side / max(height, width)
        return np.array([[scale, 0, (self._side - scale * width) / 2], [0, scale, (self._side - scale * height) / 2]])

    def _decode(self, heatmap: torch.Tensor, offset: torch.Tensor, size: torch.Tensor) -> tuple[torch.Tensor, ...]:
        heatmap = torch.sigmoid(heatmap)
        heatmap = heatmap * (F.max_pool2d(heatmap, 3, stride=1, padding=1) == heatmap)
        _, classes, _, columns = heatmap.shape
        scores, cells = torch.topk(heatmap.view(classes, -1), self._k)
        scores, best = torch.topk(scores.view(-1), self._k)
        cells = cells.view(-1)[best]
        corner = torch.stack([cells % columns, cells // columns], 1).float()
        center = corner + offset[0].view(2, -1)[:, cells].T
        half = size[0].view(2, -1)[:, cells].T / 2
        return torch.cat([center - half, center + half], 1) * self._stride, scores, best // self._k

    def _network(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = F.max_pool2d(torch.relu(self._conv_bn(x, "conv1", stride=2, padding=3)), 3, stride=2, padding=1)
        for stage in range(1, 5):
            for layer in range(1, BLOCKS + 1):
                x = self._block(x, f"res{stage}/layer{layer}", stride=2 if stage > 1 and layer == 1 else 1)
        for layer in range(1, 4):
            x = F.conv_transpose2d(x, self._parameters[f"upsample{layer}/deconv/W"], stride=2, padding=1)
            x = torch.relu(self._batch_norm(x, f"upsample{layer}"))
        heatmap, offset, size = (self._head(x, name) for name in ("hm", "reg", "wh"))
        return heatmap, offset, size

    def _block(self, x: torch.Tensor, name: str, *, stride: int) -> torch.Tensor:
        y = torch.relu(self._conv_bn(x, f"{name}/basicblock1", stride=stride, padding=1))
        y = self._conv_bn(y, f"{name}/basicblock2", stride=1, padding=1)
        shortcut = f"{name}/basicblock_s/shortcut_conv"
        if f"{shortcut}/conv/W" in self._parameters:
            x = self._conv_bn(x, shortcut, stride=stride, padding=0)
        return torch.relu(y + x)

    def _conv_bn(self, x: torch.Tensor, name: str, *, stride: int, padding: int) -> torch.Tensor:
        return self._batch_norm(F.conv2d(x, self._parameters[f"{name}/conv/W"], stride=stride, padding=padding), name)

    def _batch_norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, gamma, beta = (self._parameters[f"{name}/bn/{part}"] for part in ("mean", "var", "gamma", "beta"))
        return F.batch_norm(x, mean, var, gamma, beta, eps=EPSILON)

    def _head(self, x: torch.Tensor, name: str) -> torch.Tensor:
        x = torch.relu(self._convolution(x, f"{name}_conv1", padding=1))
        return self._convolution(x, f"{name}_final", padding=0)

    def _convolution(self, x: torch.Tensor, name: str, *, padding: int) -> torch.Tensor:
        return F.conv2d(x, self._parameters[f"{name}/conv/W"], self._parameters[f"{name}/conv/b"], padding=padding)


def serve() -> None:
    """Answer JSON lines: settings of the twin first, then lists of files, each with its images per second and the last detections."""
    twin = Twin(**json.loads(sys.stdin.readline()))
    print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        paths = json.loads(line)
        seconds, found = [], np.zeros((0, 6))
        for path in paths:
            start = perf_counter()
            found = twin.detect(path)
            seconds.append(perf_counter() - start)
        print(json.dumps({"seconds": seconds, "found": found.tolist()}), flush=True)
