# CenterNet on NVIDIA GPUs.
#   docker build -t centernet .
#   mkdir -p exp && chmod a+w exp
#   docker run --rm --gpus all --ipc=host -v "$PWD/data:/data" -v "$PWD/exp:/app/exp" centernet \
#       centernet train --data_dir /data --train-config cfg/dlav0_34_pascal_fp.yaml --processes 4
# The NVIDIA driver comes from the host; the CUDA libraries NNabla links to come as wheels with the extra cuda120.
FROM nvidia/cuda:12.4.1-base-ubuntu22.04

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates make python3.10 python3.10-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 centernet \
 && install --directory --owner=centernet --group=centernet /app /app/exp

USER 1000
WORKDIR /app

# What the set-up reads, first: a change of the code does not install everything again.
COPY --chown=centernet Makefile README.md pyproject.toml setup.py requirements*.txt ./
COPY --chown=centernet tools tools
COPY --chown=centernet src/centernet/__init__.py src/centernet/
RUN PIP_NO_CACHE_DIR=1 make setup EXTRAS=cuda120

COPY --chown=centernet . .

ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

CMD ["centernet", "--help"]
