# Two commands do everything: `make demo` and `make test`. Both install what they need below this folder.
ARGS ?=
# The real forge: what npm puts into node_modules/.bin is a script that starts it and loses its exit code.
PLATFORM := $(subst Darwin,darwin,$(subst Linux,linux,$(shell uname -s)))-$(subst x86_64,amd64,$(subst aarch64,arm64,$(shell uname -m)))
export PATH := $(CURDIR)/node_modules/@foundry-rs/forge-$(PLATFORM)/bin:$(PATH)
# forge's linter leaves artefacts without bytecode behind, which its tests then can't deploy.
APART := FOUNDRY_OUT=out/lint FOUNDRY_CACHE_PATH=cache/lint

# A command that succeeds if something is there, and the Debian package that it comes in.
need = { $(1); } >/dev/null || { apt-get update && apt-get install -y --no-install-recommends $(2); } || \
	{ echo "$(2) is missing, and apt-get can't install it: install what is called so on Debian, then try again" >&2; exit 1; }

.PHONY: demo test test-kona fuzz bench fmt lint bindings contracts rust chromium alerts

demo: node_modules/.installed ## the dropped baton on a real chain; ARGS=--keep-running leaves it up
	forge build
	cargo build --workspace --bins
	cargo run -q -p baton-devnet --bin demo -- $(ARGS)

test: lint contracts rust alerts ## every gate and every test

contracts: node_modules/.installed ## forge tests and the gate on the bindings
	forge test
	cargo run -q -p baton-bindings-generate -- --check

rust: node_modules/.installed chromium ## cargo tests, end to end among them
	forge build
	cargo test --workspace --no-fail-fast

PROMTOOL := $(or $(shell command -v promtool),target/peers/prometheus/usr/bin/promtool)

alerts: $(PROMTOOL) ## whether the portal's alerts fire when they should
	$(PROMTOOL) test rules portal/observability/alerts.test.yml

# Prometheus from Debian, unpacked and not installed: that would start it.
target/peers/prometheus/usr/bin/promtool:
	mkdir -p target/peers
	cd target/peers && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } && dpkg -x prometheus_*.deb prometheus

bench: target/peers/.installed ## benchmarks, each beside its peer or floor, as a ratio
	cargo bench -p baton-batch -p baton-protocol
	BATON_PEERS=$(CURDIR)/target/peers cargo bench -p baton-portal --bench latency

# What the portal is measured beside: nginx from Debian, unpacked and not installed, and rollup-boost.
target/peers/.installed:
	mkdir -p target/peers/nginx
	cd target/peers && { apt-get download nginx || { apt-get update && apt-get download nginx; }; } && dpkg -x nginx_*.deb nginx
	cargo install rollup-boost --version 0.7.13 --locked --root target/peers
	touch $@

fuzz: ## an hour of damaged bodies through all that reads bodies in the portal, after some minutes of damaged HTTP; FUZZ_SECONDS=n for less
	BATON_FUZZ_SECONDS=$$(($(or $(FUZZ_SECONDS),3600) / 10)) cargo test --release -p baton-portal --lib every_request -- --nocapture
	BATON_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),3600) cargo test --release -p baton-portal --test fuzz -- --nocapture

test-kona: node_modules/.installed target/peers/.kona-node ## an unmodified rollup node drives the portal; the first time, it is compiled
	forge build
	cargo build -p baton-keeper -p baton-portal --bins
	cargo test -p baton-devnet --test kona -- --ignored --nocapture --test-threads 1

# The rollup node, compiled: ten to thirty minutes on two processors.
target/peers/.kona-node:
	@$(call need,command -v clang,clang)
	@$(call need,command -v protoc,protobuf-compiler)
	@$(call need,command -v pkg-config,pkg-config)
	@$(call need,pkg-config --exists openssl,libssl-dev)
	cargo install kona-node --version 1.0.0-rc.1 --locked --root target/peers
	touch $@

# The browser that the status page is tested in.
chromium:
	@$(call need,command -v chromium || command -v chromium-browser || command -v google-chrome,chromium)

fmt: node_modules/.installed ## format everything
	cargo fmt --all
	forge fmt

lint: node_modules/.installed ## formatters, linters and compilers without a warning
	cargo fmt --all --check && forge fmt --check
	$(APART) forge lint contracts/src script --deny notes
	$(APART) forge build contracts/src script --deny warnings
	cargo clippy --workspace --all-targets -- -D warnings

bindings: node_modules/.installed ## write the committed ABIs anew
	cargo run -q -p baton-bindings-generate

node_modules/.installed: package.json package-lock.json
	npm ci
	touch $@
