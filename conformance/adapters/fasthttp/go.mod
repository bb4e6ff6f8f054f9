module github.com/gonng/nnghttp/conformance/adapters/fasthttp

go 1.26.0

require (
	github.com/gonng/nnghttp v0.0.0
	github.com/valyala/fasthttp v1.69.0
)

require (
	github.com/andybalholm/brotli v1.2.0 // indirect
	github.com/klauspost/compress v1.18.2 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/gonng/nnghttp => ../../..
