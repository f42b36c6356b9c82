# featx on processors, with the tested versions of all packages; docs/install.md says how to build and run it.
FROM python:3.12-slim AS build
# uv can replace one dependency by another, which pip cannot.
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PYTHON_DOWNLOADS=never
WORKDIR /source
COPY . .
RUN uv build --wheel --out-dir /wheel
# On x86-64, TensorFlow for processors alone is 600 MB smaller; elsewhere TensorFlow has no other kind.
RUN sed 's/^tensorflow==\(.*\)/&\ntensorflow-cpu==\1/' constraints.txt > /constraints.txt \
    && echo "tensorflow ; platform_machine != 'x86_64'" > /overrides.txt \
    && uv venv /opt/featx \
    && uv pip install --no-cache --compile-bytecode --python /opt/featx/bin/python \
        --constraint /constraints.txt --override /overrides.txt \
        /wheel/featx-*.whl "tensorflow-cpu ; platform_machine == 'x86_64'"

FROM python:3.12-slim
LABEL org.opencontainers.image.title="featx" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.source="https://github.com/featx/featx"
COPY --from=build /opt/featx /opt/featx
# With --user, somebody without a name in the image writes into the cache, too.
RUN useradd --create-home --uid 1000 featx \
    && install --directory --mode 1777 /cache /work
ENV PATH="/opt/featx/bin:$PATH" \
    FEATX_CACHE=/cache
USER featx
WORKDIR /work
VOLUME /cache
ENTRYPOINT ["featx"]
CMD ["--help"]
