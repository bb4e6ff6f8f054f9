# The command nnghttp in a small image: docker build -t nnghttp .
#   docker run --rm -p 8080:8080 nnghttp

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The C library first, by the same files as everywhere: this layer stays valid
# while only Go code changes.
COPY third_party third_party
COPY scripts scripts
COPY internal/nngloop internal/nngloop
COPY CMakeLists.txt Makefile ./
RUN make lib
COPY go.mod go.sum* ./
RUN go mod download
COPY . .
RUN scripts/with-lib nng go build -trimpath -o /nnghttp ./cmd/nnghttp

FROM debian:bookworm-slim
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates libmbedcrypto7 libmbedtls14 libmbedx509-1 \
	&& rm -rf /var/lib/apt/lists/*
COPY --from=build /nnghttp /usr/local/bin/nnghttp
# A number, so that orchestrators can see without a passwd file that it is not root.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s \
	CMD ["/usr/local/bin/nnghttp", "get", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/usr/local/bin/nnghttp"]
CMD ["serve", "--listen", "http://0.0.0.0:8080"]
