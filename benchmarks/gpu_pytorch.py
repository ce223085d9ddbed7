"""ResNet-18 and DLAv0-34 CenterNet in PyTorch, as fast as PyTorch trains them: what `make gpu-speed` measures itself against.

For another interpreter, which needs PyTorch and nothing else: `answer` prints a line of JSON for each measurement. Networks, losses and
solver are ours, layer by layer; autocast, channels_last and cudnn.benchmark are on where they make it faster.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpu_search import next_batch

HEADS = {"heatmap": 80, "offset": 2, "size": 2}
OBJECTS = 128


def conv_bn(channels_in: int, channels: int, kernel: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    layers = [nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(channels)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Block(nn.Module):
    """Two 3x3 convolutions, and the shortcut that is given or made here."""

    def __init__(self, channels_in: int, channels: int, stride: int, *, projects: bool) -> None:
        super().__init__()
        self.first = conv_bn(channels_in, channels, 3, stride)
        self.second = conv_bn(channels, channels, 3, relu=False)
        self.shortcut = conv_bn(channels_in, channels, 1, stride, relu=False) if projects else None

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        if shortcut is None:
            shortcut = x if self.shortcut is None else self.shortcut(x)
        return torch.relu(self.second(self.first(x)) + shortcut)


class ResNet(nn.Module):
    """ResNet-18 with three transposed convolutions; 64 hidden channels in the heads."""

    hidden, channels = 64, 256

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
        blocks, channels = [], 64
        for stage, wide in enumerate((64, 128, 256, 512)):
            for layer in range(2):
                stride = 2 if stage and not layer else 1
                blocks.append(Block(channels, wide, stride, projects=stride > 1))
                channels = wide
        self.blocks = nn.Sequential(*blocks)
        ups: list[nn.Module] = []
        for _ in range(3):
            ups += [nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU(inplace=True)]
            channels = 256
        self.up = nn.Sequential(*ups)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.up(self.blocks(self.stem(x)))
        return result


class Tree(nn.Module):
    """Two residual blocks joined by a root, which may see the pooled input, and one more."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1, *, keeps_bottom: bool = False, more: int = 0) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(stride, stride) if stride > 1 else nn.Identity()
        self.project = conv_bn(channels_in, channels, 1, relu=False) if channels_in != channels else nn.Identity()
        self.block1 = Block(channels_in, channels, stride, projects=False)
        self.block2 = Block(channels, channels, 1, projects=False)
        self.keeps_bottom = keeps_bottom
        self.root = conv_bn(2 * channels + (channels_in if keeps_bottom else 0) + more, channels, 1)

    def forward(self, x: Tensor, also: Tensor | None = None) -> Tensor:
        bottom = self.pool(x)
        block1 = self.block1(x, self.project(bottom))
        parts = [block1, *([bottom] if self.keeps_bottom else []), self.block2(block1), *([also] if also is not None else [])]
        result: Tensor = self.root(torch.cat(parts, 1))
        return result


class Trees(nn.Module):
    """A tree at half the size, then one whose root also sees the inputs of both."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.first = Tree(channels_in, channels, 2)
        self.second = Tree(channels, channels, keeps_bottom=True, more=channels_in)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x), F.max_pool2d(x, 2))
        return result


class Up(nn.Module):
    """A 1x1 convolution, and twice the size by a transposed one for each channel."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.project = conv_bn(channels_in, channels, 1)
        self.up = nn.ConvTranspose2d(channels, channels, 4, 2, 1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.up(self.project(x))
        return result


class Dla(nn.Module):
    """DLAv0-34 and its decoder; 256 hidden channels in the heads."""

    hidden, channels = 256, 64

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 16, 7), conv_bn(16, 16, 3), conv_bn(16, 32, 3, 2))
        self.level2, self.level3, self.level4 = Tree(32, 64, 2), Trees(64, 128), Trees(128, 256)
        self.level5 = Tree(256, 512, 2, keeps_bottom=True)
        self.up5, self.up4, self.up3 = Up(512, 256), Up(256, 128), Up(128, 64)
        self.up16, self.up8, self.up_joined = Up(256, 128), Up(128, 64), Up(128, 64)
        self.root16, self.root8, self.root_joined = conv_bn(512, 256, 3), conv_bn(256, 128, 1), conv_bn(256, 128, 3)
        self.root4, self.root2, self.root_last = conv_bn(128, 64, 3), conv_bn(128, 64, 3), conv_bn(128, 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        level2 = self.level2(self.stem(x))
        level3 = self.level3(level2)
        level4 = self.level4(level3)
        x16 = self.root16(torch.cat([self.up5(self.level5(level4)), level4], 1))
        joined = self.root_joined(torch.cat([self.up4(level4), level3], 1))
        x8 = self.root8(torch.cat([self.up16(x16), joined], 1))
        x4 = self.root2(torch.cat([level2, self.up3(level3)], 1))
        x4 = self.root4(torch.cat([self.up_joined(joined), x4], 1))
        result: Tensor = self.root_last(torch.cat([self.up8(x8), x4], 1))
        return result


class CenterNet(nn.Module):
    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

        def head(channels: int) -> nn.Sequential:
            hidden = body.hidden
            return nn.Sequential(nn.Conv2d(body.channels, hidden, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1))

        self.heads = nn.ModuleDict({name: head(channels) for name, channels in HEADS.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        feature = self.body(x)
        return {name: head(feature) for name, head in self.heads.items()}


def losses(maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    logits, heatmap = maps["heatmap"].float(), targets["heatmap"]
    peaks = (heatmap >= 1).float()
    p = torch.sigmoid(logits).clamp(1e-4, 1 - 1e-4)
    focal = -(peaks * (1 - p) ** 2 * torch.log(p) + (1 - peaks) * (1 - heatmap) ** 4 * p**2 * torch.log(1 - p)).sum()
    total = focal / peaks.sum().clamp(min=1)
    for name, weight in (("size", 0.1), ("offset", 1.0)):
        flat = maps[name].float().flatten(2).transpose(1, 2)
        found = flat.gather(1, targets["indices"][..., None].expand(-1, -1, 2))
        mask = targets["mask"][..., None]
        total = total + weight * (mask * (found - targets[name]).abs()).sum() / (2 * mask.sum() + 1e-4)
    return total


def decoded(maps: dict[str, Tensor], k: int = 100) -> tuple[Tensor, ...]:
    heatmap = torch.sigmoid(maps["heatmap"].float())
    heatmap = heatmap * (F.max_pool2d(heatmap, 3, 1, 1) == heatmap)
    rows, columns = heatmap.shape[2:]
    scores, best = torch.topk(heatmap.flatten(1), k)
    cells = best % (rows * columns)

    def at(name: str) -> Tensor:
        return maps[name].float().flatten(2).gather(2, cells[:, None].expand(-1, 2, -1)).transpose(1, 2)

    center = torch.stack([cells % columns, cells // columns], 2) + at("offset")
    half = at("size") / 2
    return torch.cat([center - half, center + half], 2) * 4, scores, best // (rows * columns)


def batch_of(size: int, side: int, device: str) -> tuple[Tensor, dict[str, Tensor]]:
    cells = side // 4
    heatmap = torch.rand(size, HEADS["heatmap"], cells, cells, device=device) ** 8 * 0.9
    indices = torch.randint(cells * cells, (size, OBJECTS), device=device)
    mask = torch.zeros(size, OBJECTS, device=device)
    mask[:, :8] = 1
    heatmap.flatten(2)[:, 0].scatter_(1, indices[:, :8], 1.0)
    targets = {"heatmap": heatmap, "indices": indices, "mask": mask}
    targets |= {name: torch.rand(size, OBJECTS, 2, device=device) for name in ("size", "offset")}
    return torch.randint(0, 256, (size, side, side, 3), dtype=torch.uint8), targets


def measure(*, network: str, mode: str, half: bool, batch: int, side: int, steps: int, tf32: bool, device: str = "cuda") -> dict[str, Any]:
    """Images per second of training or inference, images as bytes from the host as in ours, and peak memory."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    layout = torch.channels_last if half else torch.contiguous_format
    model: Any = CenterNet(ResNet() if network == "resnet_18" else Dla()).to(device, memory_format=layout)
    pixels, targets = batch_of(batch, side, device)
    pixels = pixels.pin_memory() if device == "cuda" else pixels
    solver = torch.optim.Adam(model.parameters(), 1e-4)
    scaler = torch.amp.GradScaler(device, enabled=half and device == "cuda")

    def image() -> Tensor:
        return (pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255 - 0.45).contiguous(memory_format=layout)

    def train() -> None:
        with torch.autocast(device, torch.float16 if device == "cuda" else torch.bfloat16, enabled=half):
            maps = model(image())
        solver.zero_grad(set_to_none=True)
        loss = losses(maps, targets)
        scaler.scale(loss).backward()
        scaler.step(solver)
        scaler.update()
        loss.item()  # as ours is read

    def infer() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.float16 if device == "cuda" else torch.bfloat16, enabled=half):
            for tensor in decoded(model(image())):
                tensor.cpu()

    run = train if mode == "train" else infer
    model.train(mode == "train")
    for _ in range(min(5, steps) if steps > 2 else 1):
        run()
    started = perf_counter()
    for _ in range(steps):
        run()
    speed = batch * steps / (perf_counter() - started)
    memory = torch.cuda.max_memory_reserved() / 1e9 if device == "cuda" else 0.0
    return {"images_per_second": speed, "memory": memory, "version": torch.__version__}


def fresh(case: dict[str, Any]) -> None:
    """Give back what the last measurement took."""
    gc.collect()
    if case["device"] == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def searched(case: dict[str, Any], *, most: int, seconds: float) -> Iterator[dict[str, Any]]:
    """The measurement with larger and larger batches, as long as they fit and there is time for another."""
    tried: dict[int, bool] = {}
    began, took = perf_counter(), 0.0
    while (batch := next_batch(tried, first=case["batch"], most=most)) is not None and perf_counter() - began + 2 * took < seconds:
        fresh(case)
        one = perf_counter()
        try:
            answer = measure(**{**case, "batch": batch})
        except RuntimeError as error:  # cuDNN's of memory has no class of its own
            print(f"batch {batch}: {error}", file=sys.stderr)
            answer = {}
        tried[batch] = bool(answer)
        took = perf_counter() - one
        yield {**answer, "batch": batch, "fits": tried[batch]}


def answer() -> None:
    """Measure what the last argument asks for, a JSON list of cases, and print what came out, each on a line."""
    for case in json.loads(sys.argv[-1]):
        search = case.pop("search", None)
        fresh(case)
        for found in searched(case, **search) if search else [measure(**case)]:
            print(json.dumps(found), flush=True)
