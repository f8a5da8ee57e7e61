# The two commands of the project are `make check` (the main job) and `make test` (the tests). Both install what is missing.
SHELL := /bin/bash
.DELETE_ON_ERROR:

SOLVER := .solver/z3/lib/libz3.so
BITWUZLA := .solver/bitwuzla
TOUCHSTONE := target/release/touchstone
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: check test prove fuzz bench bench-jit lint objects tools clean

check: $(TOUCHSTONE)
	$(TOUCHSTONE) check

test: tools $(SOLVER)
	cargo test --workspace --no-fail-fast

prove: $(TOUCHSTONE)
	$(TOUCHSTONE) prove

fuzz: $(TOUCHSTONE)
	$(TOUCHSTONE) fuzz --duration 600

bench: tools $(SOLVER)
	cargo bench --workspace

bench-jit: tools
	cargo bench -p touchstone-jit --bench ratios

lint: tools $(SOLVER)
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings

objects:
	$(MAKE) -C corpus/program objects

.PHONY: $(TOUCHSTONE)
$(TOUCHSTONE): tools $(SOLVER)
	cargo build --release -p touchstone-cli

# A C and a C++ compiler (the linker of rustc, and libFuzzer) and pip. Asked for only where one is missing.
tools:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it with rustup (https://rustup.rs)" >&2; exit 1; }
	@missing=; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v c++ >/dev/null || missing="$$missing g++"; \
	[ -e $(SOLVER) ] || python3 -m pip --version >/dev/null 2>&1 || missing="$$missing python3-pip"; \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "please install:$$missing" >&2; exit 1; }; \
		$(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; \
	fi

# libz3 as the z3-solver wheel brings it; `--target` keeps it inside this folder.
$(SOLVER): | tools
	python3 -m pip install --quiet --disable-pip-version-check --target .solver --upgrade z3-solver==5.3.3.0
	@touch $@

clean:
	cargo clean
	rm -rf .solver
