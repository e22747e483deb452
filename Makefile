# Every target is one command; `make help` lists them.
GO      ?= go
GOTEST  ?= $(GO) test
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/chunkline/chunkline/internal/app.version=$(VERSION)
LINT    := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULN    := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0

.DEFAULT_GOAL := help
KUSTOMIZE := $(GO) run sigs.k8s.io/kustomize/kustomize/v5@v5.8.1
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
ROLES := fetcher mapper saver chunkline
# Each commit draws histories that no commit before it has tried; SEED=N repeats those of another one.
DRAWN = $(or $(SEED),$(shell printf %d 0x$$(git rev-parse --short=8 HEAD 2>/dev/null || echo 1)))

.PHONY: help build images push images-drill manifests test race lint fmt vuln bench fuzz demo prove-all sim crash power chaos hostile mutants endurance browser cluster

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the four programs into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

# The version that docker-compose.yaml and deploy/ ask for.
images push images-drill: VERSION = $(shell sed -n 's/^CHUNKLINE_VERSION=//p' .env)

images: ## build the four images, chunkline/ROLE:VERSION (needs Docker with BuildKit)
	for role in $(ROLES); do \
		docker build --target $$role --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t chunkline/$$role:$(VERSION) . || exit 1; \
	done

push: ## push the images to REGISTRY as chunkline-ROLE:VERSION, and let deploy/ use them
	@test -n "$(REGISTRY)" || { echo "push: name the registry: make push REGISTRY=registry.example.com/team"; exit 1; }
	for role in $(ROLES); do \
		docker tag chunkline/$$role:$(VERSION) $(REGISTRY)/chunkline-$$role:$(VERSION) && docker push $(REGISTRY)/chunkline-$$role:$(VERSION) || exit 1; \
	done
	sed -i.before -E 's|(name: chunkline/([a-z]+)), newName: [^,]+, newTag: [^}]+|\1, newName: $(REGISTRY)/chunkline-\2, newTag: $(VERSION)|' deploy/parts/images/kustomization.yaml
	rm deploy/parts/images/kustomization.yaml.before

images-drill: ## build chunkline/mapper:v1 to v5 from chunkline/mapper:VERSION, releases to practise updates with: docs/updates.md
	for release in v1 v2 v3 v4 v5; do \
		printf 'FROM chunkline/mapper:$(VERSION)\nENV DRILL=%s\n' $$release | docker build -q -t chunkline/mapper:$$release - || exit 1; \
	done

manifests: ## write deploy/plain, the base and each overlay as one file for kubectl apply -f, and the PrometheusRule. Git has only base.yaml
	{ cat deploy/parts/components/prometheus-operator/rules-head.yaml; sed 's/^./  &/' deploy/parts/prometheus/rules.yml; } >deploy/parts/components/prometheus-operator/rules.yaml
	rm -f deploy/plain/*.yaml
	for dir in base $(patsubst deploy/%/kustomization.yaml,%,$(wildcard deploy/overlays/*/kustomization.yaml)); do \
		{ echo "# Made of deploy/$$dir by make manifests. Change that instead."; $(KUSTOMIZE) build deploy/$$dir; } >deploy/plain/$$(basename $$dir).yaml || exit 1; \
	done

test: ## run all tests
	$(GO) test ./...

race: ## run all tests with the race detector
	$(GO) test -race ./...

lint: ## check format, style and the import rules
	$(LINT) run ./...
	$(LINT) run --build-tags failpoints ./internal/failpoint ./internal/sink

fmt: ## format the code
	$(LINT) fmt ./...

vuln: ## look for known vulnerabilities in what we call
	$(VULN) ./...

bench: ## chunkline beside programs that do the same work, RUNS=5 times with OBJECTS=1000000; ROWS=quick,wait-16: only those (docs/performance.md)
	$(GO) test -tags bench -count=1 -timeout 2h -v ./test/bench -objects $(or $(OBJECTS),1000000) -runs $(or $(RUNS),5) -rows '$(ROWS)'

fuzz: ## fuzz every fuzz target for a while (FUZZTIME=20000x each, or a time)
	./test/fuzz.sh $(FUZZTIME)

demo: ## run the demo job
	$(GO) run ./cmd/chunkline demo

prove-all: ## everything at full length, LANES="sim crash" or all, with a table at the end: see CONTRIBUTING.md
	$(GO) run ./test/lanes all $(LANES)

sim: ## SEEDS=3000 histories in simulated time in each of two processes, from SEED on; PAIRS=10000 harms to a small job (0: all)
	@echo "histories from seed $(DRAWN)"
	printf '%s\n' $(DRAWN) $$(($(DRAWN) + 1000000)) | xargs -P 2 -I {} $(GO) test -count=1 -cpu 1 -timeout 5h ./test/sim -run TestSeeds -seed {} -seeds $(or $(SEEDS),3000)
	$(GO) test -count=1 -timeout 5h ./test/sim -run TestEverywhere -seed $(DRAWN) -single 0 -pairs $(or $(PAIRS),10000)

crash: ## SIGKILL at every failpoint, HITS=3 times, and in the recovery from it
	$(GO) test -tags long -count=1 -timeout 1h ./test/crash -hits $(or $(HITS),3)

power: ## CRASHES=1500 power cuts at random on a disk in memory, and every one within a commit of the index
	$(GO) test -count=1 -timeout 5h ./internal/sink -run 'TestRandomCrashes|TestPowerCut' -crash.seed $(DRAWN) -crash.seeds $(or $(CRASHES),1500)

chaos: ## real processes killed, stopped and cut off for FOR=5m, NATS frozen for 60 s (RUN=TestStorm: only that); needs root, ip and iptables
	$(GO) test -tags long,netns -count=1 -timeout 5h ./test/chaos -run '$(or $(RUN),.)' -freeze 60s -for $(or $(FOR),5m) -seed $(DRAWN)

hostile: ## jobs with a hostile client on the bus, objects that crash mappers, and damaged or huge input
	$(GO) test -tags long -count=1 -timeout 1h ./test/corpus ./test/hostile ./test/poison

mutants: ## break the product on purpose, and demand red; SAMPLE=10: only so many, drawn by the commit
	$(GO) run ./test/mutants -sample $(or $(SAMPLE),0) -seed $(DRAWN)

endurance: ## OBJECTS=10000000 with a fault in 1 % of the chunks: memory, descriptors and goroutines stay flat; jobs within the memory limits of deploy/, which need root (RUN=TestFlat: without them)
	$(GO) test -tags endurance -count=1 -timeout 5h -v ./test/endurance -run '$(or $(RUN),.)' -objects $(or $(OBJECTS),10000000) -rate $(or $(RATE),28000)

browser: ## the live page in headless Chromium; AXE names axe-core's axe.min.js: see test/browser/doc.go
	$(GO) test -tags browser -count=1 -timeout 20m ./test/browser

cluster: ## the tests on a Kubernetes cluster of your own (KUBECONFIG): see test/cluster/doc.go
	$(GOTEST) -tags $(or $(TAGS),cluster) -count=1 -timeout 2h -parallel 32 ./test/cluster
