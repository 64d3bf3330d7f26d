# SPDX-License-Identifier: Apache-2.0
# The commands of the house. `make help` explains them; CI calls the same ones.

GO   ?= go
TOOL  = $(GO) tool -modfile=tools/go.mod

# What the simulator runs inside WebAssembly, so what has to compile for it.
CORE  = ./journal ./journal/mem ./journal/sqlite ./lease ./timer ./cell

.DEFAULT_GOAL := help
.PHONY: help run build test race interop postgres parts check format guards bench soak generate golden

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Open the sample on this machine: a box office behind the edge, one SQLite file, nothing to install
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/boxoffice ./examples/boxoffice
	@bin/boxoffice

build: ## Build the one static binary, bin/vidimus
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/vidimus ./cmd/vidimus

test: postgres ## Run every test, those against PostgreSQL and under the race detector included
	@echo "== all tests, with the guards of the house and a throw-away PostgreSQL"
	$(GO) test -timeout 20m ./...
	@$(MAKE) --no-print-directory race
	@$(MAKE) --no-print-directory interop

race: postgres ## Run every test under the race detector
	@echo "== all tests again, under the race detector"
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./...

interop: parts ## Run the tests against parts that others wrote: nginx, Chromium, npm packages, JOSE libraries
	@echo "== tests against parts that others wrote"
	$(GO) -C interop test -timeout 15m ./...

postgres: ## Find PostgreSQL, PgBouncer and a C compiler for the tests, or install them (Debian, Ubuntu)
	@.ci/postgres

parts: ## Find nginx, Chromium, Redis, wrk and Node.js for the tests, or install them (Debian, Ubuntu)
	@.ci/parts

check: ## Check form, vet, static analysis, WebAssembly and the guards: under two minutes, before every commit
	@echo "== format (gofumpt)"
	@unformatted=$$($(TOOL) gofumpt -l .); [ -z "$$unformatted" ] || { \
		echo "$$unformatted"; echo "these files are not formatted: run make format" >&2; exit 1; }
	@echo "== go vet"
	@$(GO) vet ./...
	@echo "== staticcheck"
	@$(TOOL) staticcheck ./...
	@echo "== the generated code is what the protos say"
	@$(GO) run -C tools ./generate -check
	@echo "== the modules beside it build"
	@for m in tools bench interop; do $(GO) -C $$m build -o /dev/null ./... && $(GO) -C $$m vet ./... || exit 1; done
	@echo "== the core compiles for WebAssembly (wasip1)"
	@GOOS=wasip1 GOARCH=wasm $(GO) build $(CORE)
	@$(MAKE) --no-print-directory guards

guards: ## Run only the guards: import plan, forbidden calls, sizes, docs, goldens
	@echo "== the guards of the house"
	@$(GO) test .

format: ## Format every file
	$(TOOL) gofumpt -w .

golden: ## Rewrite the dependency list and the exported API in testdata; read the diff before committing it
	$(GO) test . -run Golden -rewrite

bench: postgres parts ## Measure side by side with what others use: databases, Redis, proxies; then each room's benchmarks
	$(GO) -C bench test -run '^$$' -bench . -benchtime 1x -timeout 1h .
	$(GO) test -run '^$$' -bench . -benchmem ./...

soak: postgres ## Run the long kill and power-loss runs (an hour or more)
	VIDIMUS_SOAK=1 $(GO) test -count=1 -timeout 4h ./...

generate: ## Regenerate what is generated
	$(GO) generate ./...
