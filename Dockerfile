# One image for the service and the workers, on CPUs and NVIDIA GPUs alike: PyTorch's package brings CUDA with it.
# A small one for a service alone, without PyTorch (and so without the gp sampler): --build-arg EXTRAS=postgres
FROM python:3.12-slim
ARG EXTRAS=worker,postgres,s3
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --uid 1000 --create-home narrows && install -d -o narrows -g narrows /data /artifacts

# What it needs comes first, without the sources, so that a change of the sources does not install it again.
WORKDIR /app
COPY pyproject.toml setup.py constraints.txt README.md ./
RUN pip install -c constraints.txt ".[${EXTRAS}]"
COPY examples examples
COPY narrows narrows
COPY service service
COPY storage storage
COPY workers workers
RUN pip install --no-deps --force-reinstall .

USER narrows
WORKDIR /home/narrows
ENV NARROWS_DATA_DIR=/data NARROWS_ARTIFACTS=/artifacts
VOLUME /data /artifacts
EXPOSE 8000
CMD ["narrows", "serve"]
