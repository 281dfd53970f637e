# counter-machine in an image: the binary with TLS to Kafka, its pipelines and licences, a user of its own, no shell.
#
#     docker build -t counter-machine:0.1.0 .
#     docker run --rm -v "$PWD:/work:ro" counter-machine:0.1.0 check /work/pipelines/user_counters.toml
#
# There is no HEALTHCHECK: it would need a program in the image to ask. Ask /live and /ready from outside (docs/operations.md).

FROM rust:1.95.0-slim-bookworm AS build
# librdkafka, zstd, SQLite and OpenSSL are built from their sources.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake g++ make perl \
    && rm -rf /var/lib/apt/lists/*
# The compiler of the image, without the tools that rust-toolchain.toml adds; zlib within the binary.
ENV RUSTUP_TOOLCHAIN=1.95.0 LIBZ_SYS_STATIC=1
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
# What the binary tells and ships.
COPY docs/errors docs/errors
COPY pipelines pipelines
# Cargo.toml names them; nothing of them is built.
COPY tests tests
COPY benches benches
COPY scripts/licences scripts/licences
COPY LICENSE-APACHE LICENSE-MIT README.md ./
RUN cargo build --locked --profile dist --features tls \
    && mkdir -p /image/usr/local/bin /image/usr/share/counter-machine /image/var/lib/counter-machine \
    && cp target/dist/counter-machine /image/usr/local/bin/ \
    && cp -r pipelines LICENSE-APACHE LICENSE-MIT README.md /image/usr/share/counter-machine/ \
    && scripts/licences /image/usr/share/counter-machine/licences

# glibc, libgcc and certificates; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=65532:65532 /image/var/lib/counter-machine /var/lib/counter-machine
COPY --from=build /image/usr /usr
USER 65532:65532
WORKDIR /var/lib/counter-machine
# /metrics, /live and /ready with `--http 0.0.0.0:9400`; the processes of one run among each other.
EXPOSE 9400 2101
ENTRYPOINT ["/usr/local/bin/counter-machine"]
CMD ["--help"]
