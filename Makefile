# Targets of crossfade. Needed: Go and make; tests and the demo fetch their own database servers once (apt, npm).

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null)
# Nothing is taken from the test cache: it does not know of the programs and servers that tests run.
# Packages tested at once. Each starts servers of its own, so this bounds memory more than it saves time.
P           ?= 2
FUZZTIME    ?= 1m

.DEFAULT_GOAL := help
.PHONY: help build test test-long model fuzz demo bench lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/crossfade
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/crossfade ./cmd/crossfade

test: ## run every test, on real servers
	$(GO) test -count 1 -p $(P) -timeout 45m ./...

test-long: ## the tests and those that take hours to prove their point (build tag long)
	$(GO) test -count 1 -p $(P) -timeout 8h -tags long ./...

model: ## explore the cutover's protocol in larger worlds: minutes, and gigabytes of memory (build tag model)
	$(GO) test -count 1 -timeout 2h -tags model -v -run Larger ./cutover/protocol

fuzz: ## run each fuzz test for FUZZTIME (1m)
	@set -e; $(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
		for f in $$(grep -hos '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | cut -d' ' -f2); do \
			echo "$$dir $$f"; (cd "$$dir" && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) .) </dev/null; \
		done; \
	done

demo: build ## watch a shop move from MySQL to PostgreSQL while it sells
	@$(GO) build -o bin/demo ./cmd/demo
	@bin/demo

bench: build ## measure snapshot and catch-up beside the limits of this machine, and pauses under load
	$(GO) run ./cmd/bench

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet -tags long,model ./...
	$(GO) run $(STATICCHECK) -tags long,model ./...

clean: ## remove what was built (the servers stay in the cache directory)
	rm -rf bin
