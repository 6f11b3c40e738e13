# The ML backend: `rsiseg serve` on port 9090, for CPU and GPU alike (PyTorch from the package index brings its own CUDA libraries, which
# is most of the image's size). Not built where this project was written, for want of a Docker daemon; tests/test_compose.py compares it
# with the code.
FROM python:3.12-slim

# Chosen so that a raster on a shared volume can be made readable for it; override with --build-arg.
ARG UID=1000

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 PATH=/opt/venv/bin:$PATH
WORKDIR /app

# The locked versions of what the server needs; the tools of development stay out. First, so that a change of the code does not download
# it all again.
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv \
 && /opt/uv/bin/uv venv /opt/venv \
 && /opt/uv/bin/uv pip install --python /opt/venv/bin/python --constraint requirements.lock --extra backend --requirement pyproject.toml

COPY backend backend
COPY converters converters
COPY label_config label_config
COPY weights weights
RUN /opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-deps . \
 && useradd --uid "$UID" --create-home rsiseg \
 && mkdir /data /files /rasters && chown rsiseg /data /files

USER rsiseg
ENV RSISEG_HOST=0.0.0.0 RSISEG_PORT=9090 RSISEG_DATA_DIR=/data RSISEG_DOCUMENT_ROOT=/files RSISEG_ROOT=/rasters
EXPOSE 9090
# /health loads nothing and answers in milliseconds.
HEALTHCHECK --interval=15s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/health', timeout=2)"]
CMD ["rsiseg", "serve"]
