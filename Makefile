# Every target is one command; `make help` lists them.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/chunkline/chunkline/internal/app.version=$(VERSION)
LINT    := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULN    := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0

.DEFAULT_GOAL := help
.PHONY: help build test race lint fmt vuln bench fuzz demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the four programs into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

test: ## run all tests
	$(GO) test ./...

race: ## run all tests with the race detector
	$(GO) test -race ./...

lint: ## check format, style and the import rules
	$(LINT) run ./...

fmt: ## format the code
	$(LINT) fmt ./...

vuln: ## look for known vulnerabilities in what we call
	$(VULN) ./...

bench: build ## 1,000,000 users in separate processes, beside bare core NATS
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/nats-server github.com/nats-io/nats-server/v2
	$(GO) run ./test/bench -bin bin

fuzz: ## fuzz every fuzz target for a while (FUZZTIME=30s each)
	./test/fuzz.sh $(or $(FUZZTIME),30s)

demo: ## run the demo job
	$(GO) run ./cmd/chunkline demo
