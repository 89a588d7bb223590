# odnbench in a container, at the versions of constraints.txt. From the root of a checkout:
#
#     docker build -t odnbench .
#     docker run --rm --shm-size=2g -v "$PWD:/results" odnbench run ablation
#
# UID: the user of the container, best that of the folder which is mounted.
# TORCH_INDEX: where pip finds torch. PyPI has it with CUDA:
#
#     docker build -t odnbench:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .
#     docker run --rm --gpus all --shm-size=2g -v "$PWD:/results" odnbench:cuda run ablation
FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt build hatchling
COPY pyproject.toml README.md LICENSE ./
COPY odnbench/ odnbench/
COPY registry/ registry/
COPY pipelines/ pipelines/
COPY reports/templates/ reports/templates/
RUN python -m build --wheel --no-isolation --outdir /dist

FROM python:3.11-slim-bookworm
# What opencv-python links to.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/
COPY --from=wheel /dist/ /tmp/dist/
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir -c /tmp/constraints.txt --extra-index-url "$TORCH_INDEX" /tmp/dist/*.whl \
    && rm -r /tmp/dist /tmp/constraints.txt
ARG UID=1000
RUN useradd --create-home --uid "$UID" odnbench && install -d -o odnbench /results
USER odnbench
WORKDIR /results
ENV ODNBENCH_CACHE=/results/.odnbench-cache RAY_USAGE_STATS_ENABLED=0
ENTRYPOINT ["odnbench"]
CMD ["--help"]
