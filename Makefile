# domaind: what a developer runs. `make check` is what CI runs.
GO         ?= go
LINT        = $(shell $(GO) env GOPATH)/bin/golangci-lint
LINT_VERSION = v2.15.0
FUZZTIME   ?= 10s
CHAOS_TIME ?= 8s

# figures runs one measuring test with its flag and shows what it printed,
# without go test's own lines: the last line is the result, which has its name.
figures = mkdir -p bin; $(GO) test -count 1 -run '$(2)' -v $(3) -args -$(1) >bin/$(1).txt 2>&1 || \
	{ cat bin/$(1).txt; exit 1; }; grep -vE '^(=== |--- |PASS|ok |again |$(1): )' bin/$(1).txt; grep '^$(1): ' bin/$(1).txt

.PHONY: build demo run test check tidy generate clean-tree vet lint spec fuzz chaos \
	bench bench-sweep bench-claims bench-latency bench-memory bench-smtp clean

build: ## bin/domaind
	$(GO) build -o bin/domaind ./cmd/domaind

demo: build ## the whole journey on loopback
	bin/domaind demo

run: build ## a development server on 127.0.0.1:3000; prints its API key
	@mkdir -p bin/dev
	@key=dev-$$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n'); \
	echo "x-api-key: $$key"; echo "Swagger UI: http://127.0.0.1:3000/docs"; \
	DOMAIND_API_KEY=$$key DOMAIND_DATABASE=$${DOMAIND_DATABASE:-bin/dev/domaind.db} \
	DOMAIND_MX_HOST=$${DOMAIND_MX_HOST:-mx.example.com} \
	DOMAIND_ALLOW_SPECIAL_USE=true DOMAIND_LOG_FORMAT=text exec bin/domaind serve

test: ## all tests; those that need a real server skip loudly where it is missing
	$(GO) test -race -timeout 20m ./...

check: tidy generate clean-tree vet lint test ## everything that CI runs

tidy:
	$(GO) mod tidy

generate: ## gen/ from openapi.yaml
	$(GO) generate ./...

clean-tree: ## fails when tidy or generate changed something
	@test -z "$$(git status --porcelain)" || { git status --porcelain; git diff | head -100; \
	echo "the tree is not clean after tidy and generate: commit what they wrote"; exit 1; }

vet:
	$(GO) vet ./...

lint: $(LINT)
	$(LINT) run ./...

$(LINT):
	$(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

fuzz: ## every fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep ^Fuzz); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

chaos: ## kills, full disks and cut networks, CHAOS_TIME of each; prints what it proves
	@mkdir -p bin; CHAOS_TIME=$(CHAOS_TIME) \
	$(GO) test -count 1 -timeout 24h -v -skip 'Seen$$|Broken' ./chaos >bin/chaos.txt 2>&1 || \
	{ cat bin/chaos.txt; exit 1; }; grep '^chaos: ' bin/chaos.txt

bench: ## GET info, create, key check and key pool, each against its bare part in the same run
	$(GO) test -run '^$$' -bench 'Info|Create|Key|Refill' -benchtime 2s ./server ./store ./dnscheck/dkim

bench-sweep: ## lookups a second of the monitor's resolver, against dnsperf
	@$(call figures,sweep,^TestSweepRate$$,./dnscheck/resolve)

bench-smtp: ## durable accepts a second, against one fsync a message and against Postfix
	@$(call figures,smtp,^TestAcceptRate$$,./inbound)

bench-claims: ## claims a second at a million rows, against the bare query
	@$(call figures,claims,^TestClaimRate$$,-timeout 60m ./store)

bench-latency: ## the API's latency at a million domains, against a thousand; takes 8 GB of disk
	@$(call figures,latency,^TestLatency$$,-timeout 60m ./cmd/domaind)

bench-memory: ## memory of the service with a million due domains; takes 4 GB of disk
	$(GO) test -count 1 -run '^TestMemory$$' -v -timeout 30m ./cmd/domaind -args -memory

clean:
	rm -rf bin
