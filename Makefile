# `make help` lists the targets. What they do is in scripts/ and CMakeLists.txt.
#
# Variables that reach the C library's build: NNG_VERSION=1.12.4,
# NNG_SOURCE=tarball-or-tree, NNG_PATCHES=OFF, NNG_LOOP=OFF (see third_party/nng/README.md).

LISTEN      ?= http://127.0.0.1:8080
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.7.0
GO          ?= go

.DEFAULT_GOAL := help
# No target is a file.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the build needs (Debian, Ubuntu), check the Go release
	@scripts/setup

setup-lib:
	@scripts/setup --lib

setup-test: ## the same, and what the tests need (Chromium, curl, Node, ...)
	@scripts/setup --test

setup-bench: ## the same, and what the benchmarks need (wrk, valgrind)
	@scripts/setup --bench

lib: setup-lib ## libnng into build/nng
	@scripts/build-lib nng

lib-noloop: setup-lib ## ... without the loop into build/nng-noloop
	@scripts/build-lib nng-noloop

lib-asan: setup-lib ## ... with AddressSanitizer into build/nng-asan
	@scripts/build-lib nng-asan

lib-asan-assert: setup-lib ## ... and with nng's assertions into build/nng-asan-assert
	@scripts/build-lib nng-asan-assert

lib-tsan: setup-lib ## ... with ThreadSanitizer into build/nng-tsan (for C programs)
	@scripts/build-lib nng-tsan

lib-nohttp: setup-lib ## ... without HTTP into build/nng-nohttp
	@scripts/build-lib nng-nohttp

lib-notls: setup-lib ## ... without TLS into build/nng-notls
	@scripts/build-lib nng-notls

lib-reference: setup-lib ## ... as published, without our patches, into build/nng-reference
	@scripts/build-lib nng-reference

lib-reference-asan: setup-lib ## ... as published, with AddressSanitizer
	@scripts/build-lib nng-reference-asan

peers: lib ## nng's own HTTP demos into build/peers
	@scripts/build-lib peers

run: setup lib ## the demo server on LISTEN (http://127.0.0.1:8080)
	@scripts/run --listen $(LISTEN)

interop: setup lib peers ## nng's own programs in C talk to Go, both ways
	scripts/with-lib nng $(GO) -C interop test -count=1 -v -run '^TestDemo' .

test: setup-test lib lib-nohttp lib-notls peers ## all Go tests, those with other people's programs too
	scripts/with-lib nng $(GO) test -count=1 ./...
	scripts/with-lib nng $(GO) -C interop test -count=1 ./...

test-nohttp: setup lib-nohttp ## the tests of package nng on a libnng without HTTP
	scripts/with-lib nng-nohttp $(GO) test -count=1 -tags nng_nohttp ./nng/...

test-notls: setup lib-notls ## the tests of package nng on a libnng without TLS
	scripts/with-lib nng-notls $(GO) test -count=1 -tags nng_notls ./nng/...

test-noloop: setup lib-noloop ## the packages' tests on a library without the loop: nng's own threads do all work
	scripts/with-lib nng-noloop $(GO) test -count=1 -tags nng_noloop ./nng/... ./nethttp/...

test-beside: setup lib lib-noloop ## C code beside Go in one process, with the loop and without
	scripts/with-lib nng $(GO) test -count=1 -tags nng_beside -run Beside ./nng
	scripts/with-lib nng-noloop $(GO) test -count=1 -tags nng_beside,nng_noloop -run Beside ./nng
test-reference: setup lib-reference ## the packages' tests on the release as published; names what they leave out
	scripts/with-lib nng-reference $(GO) -C nng test -count=1 -tags nng_reference .
	scripts/with-lib nng-reference $(GO) -C nethttp test -count=1 -tags nng_reference .
test-system: setup-test ## the same on the distribution's library
	$(GO) -C nng test -count=1 -tags nng_system .
	$(GO) -C nethttp test -count=1 -tags nng_system .
test-skipped: setup-test lib-reference ## each test that these leave out is run alone, and has to fail
	NNGHTTP_SKIPPED=try scripts/with-lib nng-reference $(GO) -C nng test -count=1 -tags nng_reference .
	NNGHTTP_SKIPPED=try scripts/with-lib nng-reference $(GO) -C nethttp test -count=1 -tags nng_reference .
	NNGHTTP_SKIPPED=try $(GO) -C nng test -count=1 -tags nng_system .
	NNGHTTP_SKIPPED=try $(GO) -C nethttp test -count=1 -tags nng_system .

race: setup-test lib lib-nohttp lib-notls ## the packages' and the command's tests under the race detector, checkptr and cgocheck2
	GOEXPERIMENT=cgocheck2 RAPID_CHECKS=100 scripts/with-lib nng $(GO) test -race -count=1 -timeout 15m ./nng/... ./nethttp/... ./cmd/...

asan: setup-test lib-asan lib-nohttp lib-notls ## the packages' tests under AddressSanitizer, C and Go
	UBSAN_OPTIONS=halt_on_error=1 RAPID_CHECKS=60 scripts/with-lib nng-asan $(GO) test -asan -count=1 -timeout 15m ./nng/... ./nethttp/...

asan-assert: setup-test lib-asan-assert lib-nohttp lib-notls ## the same with nng's assertions on
	RAPID_CHECKS=60 scripts/with-lib nng-asan-assert $(GO) test -asan -tags nng_custom -count=1 -timeout 15m ./nng/... ./nethttp/...

tsan: setup-test lib-tsan ## the packages' tests with ThreadSanitizer in C
	@echo "left out: $(TSAN_SKIP): the signal of a nil pointer never gets to Go here, C is many times slower and has memory of its own"
	TSAN_OPTIONS="suppressions=$(CURDIR)/internal/patchtests/tsan.supp" RAPID_CHECKS=60 \
		scripts/with-lib nng-tsan $(GO) test -tags nng_custom -count=1 -timeout 30m -skip '$(TSAN_SKIP)' ./nng/... ./nethttp/...
TSAN_SKIP = TestHandlerErrorsThatPanic|TestHeadCost|TestChunkCost|TestHeapIsGivenBack

nettest: setup lib ## nettest's suite twenty times under the race detector
	scripts/with-lib nng $(GO) test -race -count=20 -run '^TestConn$$' -timeout 30m ./nng

fork: setup lib ## 5,000 children started under load; none may inherit a descriptor of nng
	NNGHTTP_CHILDREN=5000 scripts/with-lib nng $(GO) test -count=1 -run '^TestChildrenInheritNothing$$' -v ./nng

sysfaults: setup-test lib ## the command under strace, which makes its system calls fail
	scripts/with-lib nng $(GO) -C interop test -count=1 -run '^Test(SystemCallsFail|StartFails|GetFaults|LogOnFullDisk)$$' .

conformance: setup lib lib-reference ## the conformance kit on the references in C, package nng, nethttp and net/http
	scripts/conformance

conformance-matrix: setup-test lib lib-reference ## all adapters that can run here, into build/conformance.html, docs/conformance.md and its picture
	scripts/conformance-matrix

recordings: setup lib lib-reference ## what the references do, into conformance/recordings; the diff is to be read
	scripts/record

recordings-debian: ## what the libnng of Debian trixie and forky do; the diff is to be read
	scripts/record-debian

conformance-adapters: setup lib ## the kit on fasthttp, Node, Python, Perl, nginx, HAProxy, as far as they are installed
	scripts/conformance-adapters

rapid: setup lib ## 100,000 generated connections to nethttp and net/http
	RAPID_CHECKS=12500 scripts/with-lib nng $(GO) test -count=1 -timeout 30m -run TestRapid -v ./nethttp

rolling-restart: setup-test lib ## 25 rounds of restarts behind HAProxy under load; no request may fail
	examples/behind-haproxy/rolling-restart 25

bench: setup-bench lib ## measure side by side, write docs/benchmarks.md (BENCH='-only NAME,... -profile DIR')
	scripts/with-lib nng $(GO) -C bench run . $(BENCH)

bench-short: setup-bench lib ## the same in short, to check the benchmarks and not the times
	scripts/with-lib nng $(GO) -C bench test -count=1 ./...
	scripts/with-lib nng $(GO) -C bench run . -short

soak: setup lib ## 10 minutes of everything at once, and all of it must come back (SOAK='-duration 2m -page ../docs/reliability.md')
	GLIBC_TUNABLES=glibc.malloc.tcache_count=0 scripts/with-lib nng $(GO) -C bench run ./soak $(SOAK)

stress: setup lib ## the tests 20 times in random order, on a machine with too much to do (TIMES=5 BUSY=2 LIMIT=7200)
	@scripts/stress

vet: setup lib ## go vet, staticcheck, gofmt
	@scripts/vet "$(STATICCHECK)"

fuzz: setup lib ## every fuzz target for FUZZTIME (30s) each
	@scripts/fuzz

fuzz-long: setup lib ## 10 million generated requests and 1 million answers (LONG='-requests N -answers N')
	scripts/with-lib nng $(GO) run ./internal/hostile/fuzzlong $(LONG)

alloc-faults: setup-test lib-asan ## each allocation of libnng fails once, in each scenario
	@scripts/alloc-faults nng-asan

generate-check: setup lib ## generated files are what the generators make
	@scripts/generate-check

check-patches: setup lib lib-asan ## every patch has a test that fails without it
	@scripts/check-patches

check-patches-changed: setup lib lib-asan ## the same for those that have changed, for CI
	@scripts/check-patches --changed

check-mends: setup-test lib lib-reference ## what the binding does about defects has tests that fail without it
	@scripts/check-mends

test-build: setup-test ## the build itself: download, patches, refusals, odd paths
	@scripts/test-build

docker: ## the container image nnghttp
	docker build -t nnghttp .

clean: ## remove everything that was built (the downloads stay)
	@find build -mindepth 1 -maxdepth 1 ! -name download -exec rm -rf {} + 2>/dev/null || true
