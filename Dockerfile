# Synthset on CPUs, with the embedded miniature: it runs offline, as a user without rights, in the folder /data.
#
#   docker build --tag synthset .
#   docker run --rm --network none synthset demo
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" synthset create --classes one two
#
# On Linux the usual index gives PyTorch with CUDA's libraries, some gigabytes that a CPU has no use for. PyTorch's own
# index of CPU builds makes the image small; its address stands in PyTorch's instructions:
#
#   docker build --tag synthset --build-arg TORCH_INDEX=ADDRESS .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/synthset
WORKDIR /source
# what changes rarely first: a change of the source leaves this layer as it is
COPY constraints.txt ./
RUN /opt/synthset/bin/pip install --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch torchvision
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /opt/synthset/bin/pip install --constraint constraints.txt .

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/synthset /opt/synthset
# any user may write here: that of --user need not be known
RUN useradd --no-create-home --home-dir /data --uid 1000 synthset && install --directory --mode 1777 /data
# caches lie in /data too, so that they stay where it is mounted; to fetch a model give --env HF_HUB_OFFLINE=0
ENV PATH="/opt/synthset/bin:$PATH" HOME=/data HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /data
USER synthset
ENTRYPOINT ["synthset"]
CMD ["--help"]
