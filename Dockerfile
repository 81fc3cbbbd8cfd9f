# syntax=docker/dockerfile:1
# `recipe` with everything that a plan needs, but for the model and your clips. docs/install.md tells how to use it.
#
#   docker build -t sana-recipes .
#   docker run --rm --gpus all -v "$PWD:/work" sana-recipes run mine.yaml

# torch brings its own CUDA libraries; of the image only what makes the driver known is used. Weights in 4 or 2 bits by
# quanto compile a kernel and need nvcc: --build-arg BASE=nvidia/cuda:13.0.2-devel-ubuntu24.04
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

# hadolint ignore=DL3006
FROM ${BASE} AS python
# A compiler and Python's headers: Triton builds its launcher with them, for `hardware.compile`.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /src
COPY constraints.txt pyproject.toml ./
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --constraint constraints.txt uv
# What others wrote is a layer of its own, as long as these two files and the extras stay as they are.
ARG EXTRAS="train 8bit tensorboard"
# hadolint ignore=SC2086,SC2046
RUN --mount=type=cache,target=/root/.cache/uv \
    python3 -m venv /opt/recipe \
    && /opt/uv/bin/uv pip install --python /opt/recipe --constraint constraints.txt \
        $(printf -- '--extra %s ' ${EXTRAS}) --requirement pyproject.toml
COPY LICENSE README.md ./
COPY recipes recipes
COPY schema schema
COPY compiler compiler
COPY runtime runtime
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --python /opt/recipe --no-deps \
        --constraint constraints.txt --build-constraint constraints.txt .

FROM python
# The owner of what runs write. Give your own number where it is another: --build-arg OWNER="$(id -u)"
ARG OWNER=1000
# (The image of Ubuntu has a user of number 1000 already, which is nobody else.)
RUN useradd --non-unique --create-home --uid "${OWNER}" recipe \
    && install --directory --owner=recipe /work
COPY --from=build /opt/recipe /opt/recipe
ENV HOME=/home/recipe PATH=/opt/recipe/bin:$PATH
USER ${OWNER}
WORKDIR /work
ENTRYPOINT ["recipe"]
CMD ["--help"]
