# Everything here runs on a bare machine with Go, git and make.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN := bin/aoc$(shell go env GOEXE)

# The race detector needs a C compiler; with CI=true it must be there.
ifneq ($(or $(CI),$(shell command -v cc gcc clang 2>/dev/null)),)
RACE := -race
endif

.PHONY: run build test bench lint package clean

run: build ## build and open AOC on the simulated tenant
	$(BIN) local --demo --open

build:
	go build -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./handler

test: lint ## everything, with the race detector where there is a C compiler
	$(if $(RACE),CGO_ENABLED=1) go test -shuffle=on -timeout=20m $(RACE) ./...

bench: ## ratios against a baseline of the same run
	go test -run='^$$' -bench=. -benchtime=1s ./internal/...

lint: ## go vet, staticcheck, gofumpt
	go vet ./...
	go tool staticcheck ./...
	@files="$$(go tool gofumpt -l $$(git ls-files '*.go' | grep -v testdata))"; test -z "$$files" || { echo "not formatted by gofumpt:"; echo "$$files"; exit 1; }

package: ## dist/api for the Functions host, dist/web for the page
	go run ./infra/deploy package -version "$(VERSION)"

clean:
	rm -rf bin dist
