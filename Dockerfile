# A server for exported models, without torch: docs/how-to/deploy.md
FROM python:3.11-slim
RUN pip install --no-cache-dir onnxruntime numpy pillow pydantic pyyaml rich scipy typer \
    fastapi uvicorn httptools python-multipart prometheus-client
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN pip install --no-cache-dir --no-deps /src && useradd --create-home foveate
USER foveate
EXPOSE 8000
ENTRYPOINT ["foveate", "serve", "--host", "0.0.0.0"]
