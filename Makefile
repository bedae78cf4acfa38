# Two commands do everything: `make demo` and `make test`. Both install what they need below this folder.
ARGS ?=
# The real forge: what npm puts into node_modules/.bin is a script that starts it and loses its exit code.
PLATFORM := $(subst Darwin,darwin,$(subst Linux,linux,$(shell uname -s)))-$(subst x86_64,amd64,$(subst aarch64,arm64,$(shell uname -m)))
export PATH := $(CURDIR)/node_modules/@foundry-rs/forge-$(PLATFORM)/bin:$(PATH)
# forge's linter leaves artefacts without bytecode behind, which its tests then can't deploy.
APART := FOUNDRY_OUT=out/lint FOUNDRY_CACHE_PATH=cache/lint

.PHONY: demo test test-status fuzz bench fmt lint bindings contracts rust e2e

demo: node_modules/.installed ## the dropped baton on a real chain; ARGS=--keep-running leaves it up
	forge build
	cargo build --workspace --bins
	cargo run -q -p baton-devnet --bin demo -- $(ARGS)

test: lint contracts rust ## every gate and every test

contracts: node_modules/.installed ## forge tests and the gate on the bindings
	forge test
	cargo run -q -p baton-bindings-generate -- --check

rust: node_modules/.installed ## cargo tests, end to end among them
	forge build
	cargo test --workspace --no-fail-fast

bench: target/peers/.installed ## benchmarks, each beside its peer or floor, as a ratio
	cargo bench -p baton-batch -p baton-protocol
	BATON_PEERS=$(CURDIR)/target/peers cargo bench -p baton-portal --bench latency

# What the portal is measured beside: nginx from Debian, unpacked and not installed, and rollup-boost.
target/peers/.installed:
	mkdir -p target/peers/nginx
	cd target/peers && apt-get download nginx && dpkg -x nginx_*.deb nginx
	cargo install rollup-boost --version 0.7.13 --locked --root target/peers
	touch $@

fuzz: ## an hour of damaged bodies through all that reads bodies in the portal; FUZZ_SECONDS=n for less
	BATON_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),3600) cargo test --release -p baton-portal --test fuzz -- --nocapture

test-status: ## the portal's status page in headless Chromium, which is installed from Debian if it is missing
	command -v chromium || apt-get install -y --no-install-recommends chromium
	cargo test -p baton-portal --test portal -- --ignored browser

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
