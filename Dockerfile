# The image of each room, a target each, with the room's own extra and nothing of the others:
#   docker build --target ingest -t tocsin-ingest .
FROM python:3.12-slim AS source
WORKDIR /src
COPY pyproject.toml requirements.txt README.md LICENSE ./
COPY events events
COPY ingest ingest
COPY stream stream
COPY sinks sinks
COPY inbox inbox
COPY ops ops
COPY sandbox sandbox
# The versions that were tested. Hashes are left out: pip wants one for this folder too, and it has none.
RUN grep -oE '^[a-z0-9._-]+==[^ ;\\]+' requirements.txt > pins.txt && python -m venv /opt/tocsin
ENV PATH=/opt/tocsin/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=pins.txt

FROM python:3.12-slim AS room
# Nobody needs to be root to move events.
RUN useradd --uid 10001 --create-home --home-dir /var/lib/tocsin tocsin
ENV PATH=/opt/tocsin/bin:$PATH TOCSIN_DATA=/var/lib/tocsin PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/tocsin
ENTRYPOINT ["tocsin"]

FROM source AS ingest-built
RUN pip install ".[ingest]"
FROM room AS ingest
COPY --from=ingest-built /opt/tocsin /opt/tocsin
CMD ["ingest"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8081/healthz', timeout=2)"]

FROM source AS stream-built
RUN pip install ".[stream]"
FROM room AS stream
COPY --from=stream-built /opt/tocsin /opt/tocsin
CMD ["stream"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8082/healthz', timeout=2)"]

FROM source AS sinks-built
RUN pip install ".[sinks]"
FROM room AS sinks
COPY --from=sinks-built /opt/tocsin /opt/tocsin
CMD ["sink"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8083/healthz', timeout=2)"]

FROM source AS archive-built
RUN pip install ".[archive]"
FROM room AS archive
COPY --from=archive-built /opt/tocsin /opt/tocsin
CMD ["sink", "archive"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8084/healthz', timeout=2)"]

FROM source AS inbox-built
RUN pip install ".[inbox]"
FROM room AS inbox
COPY --from=inbox-built /opt/tocsin /opt/tocsin
CMD ["inbox"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8085/healthz', timeout=2)"]

# What looks after the rooms: the watch, or with another command any verb (doctor, why, replay, catch-up) but the sandbox's.
FROM source AS ops-built
RUN pip install ".[ops]"
FROM room AS ops
COPY --from=ops-built /opt/tocsin /opt/tocsin
CMD ["watch"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8087/healthz', timeout=2)"]

# The simulated tenant, for the compose profile `simulate`: what runs on one machine with nothing else.
FROM source AS sandbox-built
RUN pip install ".[sandbox]"
FROM room AS sandbox
COPY --from=sandbox-built /opt/tocsin /opt/tocsin
CMD ["simulate"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8090), timeout=2)"]
