# Build, checks and tests. `make help` lists what there is; docs/development.md explains it.

include tools/versions.env

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TOOLS         := $(CURDIR)/.cache/bin
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
BENCHSTAT     := $(TOOLS)/benchstat-$(BENCHSTAT_VERSION)
SESSIONS      := 200000
RUNS          := 5
FIGURES       :=
VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/session-export.
	go build -trimpath -ldflags '-X sessionexport/app.Version=$(VERSION)' -o bin/session-export ./cmd/session-export

.PHONY: test
test: ## Run all tests that need nothing but Go.
	go test ./...

.PHONY: check
check: check-format check-vet check-lint check-modules check-race check-fuzz check-bench check-faults ## Run every check that needs no service.

.PHONY: check-format
check-format: ## gofmt has nothing to change.
	@changed=$$(gofmt -l .); if [ -n "$$changed" ]; then echo "not formatted by gofmt:"; echo "$$changed"; exit 1; fi

.PHONY: check-vet
check-vet: ## go vet, the services tier included.
	go vet ./...
	go vet -tags services,soak ./services/...

.PHONY: check-lint
check-lint: $(GOLANGCI_LINT) ## golangci-lint as .golangci.yml says; no test sleeps.
	$(GOLANGCI_LINT) config verify
	$(GOLANGCI_LINT) run ./...
	tools/sleepers.sh

.PHONY: check-modules
check-modules: ## go.mod is tidy and the downloaded modules are what go.sum says.
	go mod tidy -diff
	go mod verify

.PHONY: check-race
check-race: ## All tests under the race detector.
	go test -race ./...

.PHONY: check-fuzz
check-fuzz: ## Every fuzz target for a few seconds.
	tools/fuzz.sh

.PHONY: check-bench
check-bench: ## Vet and test the benchmark module.
	cd bench && go vet ./... && go test ./...

.PHONY: check-faults
check-faults: ## The shortened campaign of faults.
	go run ./faults -short

.PHONY: faults
faults: ## The whole campaign of faults, as a table (FAULTS='-only kill -seed 7').
	go run ./faults $(FAULTS)

SOAK ?= 10m

.PHONY: soak
soak: ## Everything that takes long: faults-soak, services-soak, services-matrix (SOAK=1m).
	$(MAKE) faults-soak
	$(MAKE) services-soak
	$(MAKE) services-matrix

.PHONY: faults-soak
faults-soak: ## Ten minutes at 80 % of the maximum rate with random faults: memory and goroutines flat (SOAK=1m).
	go run ./faults -only soak -soak $(SOAK) $(FAULTS)

.PHONY: services-soak
services-soak: services-install ## The like on three Kafka brokers, Elasticsearch and OpenSearch (SOAK=1m).
	go test -tags 'services soak' -count=1 -timeout 0 -v ./services/soak -soak $(SOAK)

.PHONY: services-install
services-install: ## Fetch the real services into the cache.
	services/install.sh

.PHONY: services-test
services-test: services-install ## Test against real services, of the pinned versions.
	go test -tags services -count=1 -p 1 -timeout 40m -v ./services/...

.PHONY: services-matrix
services-matrix: export SESSION_EXPORT_MATRIX = full
services-matrix: ## Test against real services, of every version.
	services/install.sh
	go test -tags services -count=1 -p 1 -timeout 120m -v ./services/...

.PHONY: bench
bench: ## Measure every figure that the program is held to, with verdicts (20 minutes).
	bench/measure.sh $(SESSIONS) $(RUNS) $(FIGURES)

.PHONY: bench-products
bench-products: ## Measure beside other programs that can be built here (long).
	bench/products.sh

.PHONY: bench-record
bench-record: ## Put the tables that bench and bench-products left into docs/performance.md.
	cd bench && for table in figures=bench.md products=products.md; do \
	  if [ -e ../.cache/$${table#*=} ]; then \
	    go run ./table -paste ../docs/performance.md -place $${table%=*} -from ../.cache/$${table#*=}; \
	  fi; \
	done

.PHONY: benchmark
benchmark: $(BENCHSTAT) ## Run the Go benchmarks ten times and summarise them.
	@mkdir -p .cache
	go test -run '^$$' -bench . -benchmem -count 10 ./... | tee .cache/benchmarks.txt
	$(BENCHSTAT) .cache/benchmarks.txt

.PHONY: tools
tools: $(GOLANGCI_LINT) $(BENCHSTAT) ## Build the tools that the checks use.

$(GOLANGCI_LINT): tools/versions.env
	tools/install.sh $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint $(GOLANGCI_LINT_VERSION)

$(BENCHSTAT): tools/versions.env
	tools/install.sh $@ golang.org/x/perf/cmd/benchstat $(BENCHSTAT_VERSION)

.PHONY: clean
clean: ## Remove what was built (the services' cache stays).
	rm -rf bin .cache
