# The two commands that matter: make demo, make test. Both install what they need.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PORT ?= 8443
IDP_PORT ?= 9443
TOOL := go tool -modfile=.tools/go.mod

.PHONY: help build demo test privacy check bench arrows golden

help: ## show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## compile the daemons into .bin
	@go build -o .bin/ ./extauthz ./oidcprovider ./xds

demo: ## start a world, walk through it, stay up until Ctrl-C (ONCE=1 ends after the tour; PORT=8443 IDP_PORT=9443 CLIENTS=file)
	@go build -o .bin/demo ./examples/demo
	@exec .bin/demo -port $(PORT) -idp-port $(IDP_PORT) $(if $(CLIENTS),-clients $(CLIENTS)) $(if $(ONCE),-once)

test: ## every test, with the race detector, on real parts
	@.ci/browser
	@.ci/node
	@go test -race -count=1 -timeout 30m ./...

privacy: ## search all that the commercial side receives, keeps and seals for anything personal; part of make test
	@go test -race -count=1 ./examples/privacy

check: arrows ## formatting, vet, staticcheck, Rego, arrows, clean tree
	@fault=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$fault" || { echo "not formatted: $$fault"; exit 1; }
	@go vet ./...
	@$(TOOL) staticcheck ./...
	@$(TOOL) opa check --strict policies/*.rego
	@$(TOOL) opa fmt --fail --list policies
	@go mod tidy -diff
	@dirty=$$(git status --porcelain); test -z "$$dirty" || { echo "not committed:"; echo "$$dirty"; exit 1; }

bench: ## what a check costs beside a no-op server; the report is also in .bench/report.json
	@go run ./examples/bench

arrows: ## who may import whom
	@go run .ci/arrows.go

golden: ## write the golden files anew
	@go test ./envoy/bootstrap ./extauthz/page ./xds/snapshot ./examples/kubernetes -update
