# docker build --tag otpost .
FROM rust:1.95-slim-bookworm AS build
# ring builds a little C.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked && cp target/dist/otpost /otpost

FROM debian:bookworm-slim
# The providers' certificates are checked against Debian's list.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home otpost
COPY --from=build /otpost /usr/local/bin/otpost
USER otpost
ENTRYPOINT ["otpost"]
CMD ["serve"]
