# One file, four images: docker build --target fetcher (mapper, saver, chunkline) .
# `make images` builds them all. Each holds one static binary, which is all that
# its container runs; user 65532 owns nothing but /data and /source.

FROM golang:1.26-bookworm AS build
WORKDIR /src
# Modules first: they change seldom, so their layer is kept.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY cmd cmd
COPY internal internal
# VERSION is shown by --version, /version, every line of log and chunkline_build_info.
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/chunkline/chunkline/internal/app.version=${VERSION}" -o /out/ ./cmd/... \
    && mkdir /data /source

FROM gcr.io/distroless/static-debian12:nonroot AS base
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.source="https://github.com/chunkline/chunkline" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A new volume that is mounted at one of these takes over its owner.
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build --chown=65532:65532 /source /source
WORKDIR /data
EXPOSE 3541

FROM base AS fetcher
LABEL org.opencontainers.image.title="chunkline fetcher" \
      org.opencontainers.image.description="Cuts a data set into chunks and hands them to mappers until every one is saved"
COPY --from=build /out/fetcher /usr/local/bin/fetcher
ENTRYPOINT ["/usr/local/bin/fetcher"]

FROM base AS mapper
LABEL org.opencontainers.image.title="chunkline mapper" \
      org.opencontainers.image.description="Asks for chunks, maps their objects and hands the results to the saver"
COPY --from=build /out/mapper /usr/local/bin/mapper
ENTRYPOINT ["/usr/local/bin/mapper"]

FROM base AS saver
LABEL org.opencontainers.image.title="chunkline saver" \
      org.opencontainers.image.description="Commits results durably and confirms them"
COPY --from=build /out/saver /usr/local/bin/saver
ENV SINK=/data
ENTRYPOINT ["/usr/local/bin/saver"]

FROM base AS chunkline
LABEL org.opencontainers.image.title="chunkline" \
      org.opencontainers.image.description="The operator's program: run, verify, status, control, dead letters"
COPY --from=build /out/chunkline /usr/local/bin/chunkline
ENTRYPOINT ["/usr/local/bin/chunkline"]
