# Everything here runs on a bare machine with Go, git and make.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN := bin/aoc$(shell go env GOEXE)

# The race detector needs a C compiler; with CI=true it must be there. Lint uses
# the tests' flags, so that the Graph SDK (minutes, 4.5 GB) is compiled once.
ifneq ($(or $(CI),$(shell command -v cc gcc clang 2>/dev/null)),)
TEST := CGO_ENABLED=1
RACE := -race
else
TEST := CGO_ENABLED=0
endif

.DEFAULT_GOAL := help
.PHONY: help run build test bench lint package clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

run: build ## build and open AOC on the simulated tenant
	$(BIN) local --demo --open

build: ## bin/aoc
	CGO_ENABLED=0 go build -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./handler

test: lint ## everything, with the race detector where there is a C compiler
	$(TEST) go test $(RACE) -shuffle=on -timeout=20m ./...

bench: ## ratios against a baseline of the same run
	CGO_ENABLED=0 go test -run='^$$' -bench=. -benchtime=1s ./internal/...

lint: ## go vet, staticcheck, gofumpt
	$(TEST) go vet $(RACE) ./...
	staticcheck="$$(go tool -n staticcheck)" && $(TEST) GOFLAGS=$(RACE) "$$staticcheck" ./...
	@files="$$(go tool gofumpt -l $$(git ls-files '*.go' | grep -v testdata))"; test -z "$$files" || { echo "not formatted by gofumpt:"; echo "$$files"; exit 1; }

package: ## dist/api for the Functions host, dist/web for the page
	go run ./infra/deploy package -version "$(VERSION)"

clean: ## remove bin/ and dist/
	rm -rf bin dist
