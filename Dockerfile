# One image for every role: `tokenswarm run --master`, `tokenswarm run --worker`, `tokenswarm simulate`.
#   docker build --tag tokenswarm:0.1.0 .
FROM python:3.11-slim AS build
WORKDIR /source
RUN python -m venv /opt/tokenswarm

# What it depends on is a layer of its own: a change of the code does not install it again. The dashboard and Bedrock
# want their extras.
COPY pyproject.toml ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
      extras = project['optional-dependencies']; \
      print(*project['dependencies'], *extras['dashboard'], *extras['bedrock'], sep='\n')" \
      > requirements.txt \
 && /opt/tokenswarm/bin/pip install --no-cache-dir --only-binary :all: --requirement requirements.txt

COPY README.md LICENSE ./
COPY harness harness
COPY analysis analysis
COPY dashboard dashboard
COPY locustfiles locustfiles
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && /opt/tokenswarm/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.11-slim
COPY --from=build /opt/tokenswarm /opt/tokenswarm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /runs --shell /usr/sbin/nologin tokenswarm \
 && install --directory --owner=tokenswarm --group=tokenswarm /runs
ENV PATH=/opt/tokenswarm/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/runs/.cache
WORKDIR /runs
USER 10001:10001

# Ctrl-C, and not an end at once: a run drains, and keeps its samples. Process 1 has no default for SIGTERM.
STOPSIGNAL SIGINT

# True of every role, and costs a worker nothing that shows in its stamps: process 1 is neither stopped nor dead.
HEALTHCHECK --interval=30s --timeout=5s --retries=3 CMD ["grep", "-q", "^State:.[RSD]", "/proc/1/status"]
ENTRYPOINT ["tokenswarm"]
CMD ["--help"]
