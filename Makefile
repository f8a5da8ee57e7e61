# The two commands of the project are `make check` (the main job) and `make test` (the tests). Both install what is missing.
# `make linux`, the optional third, gets real kernels for guests; without it the others skip what needs them, and say so.
SHELL := /bin/bash
.DELETE_ON_ERROR:

SOLVER := .solver/z3/lib/libz3.so
BITWUZLA := .solver/bitwuzla
TOUCHSTONE := target/release/touchstone
KERNELS := .kernels
AGENT := target/agent/x86_64-unknown-linux-gnu/release/touchstone-agent
NO_KERNELS := no kernels in $(KERNELS): what needs real Linux is skipped (`make linux` gets them)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# apt-get for packages that are missing.
define install
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "please install:$$missing" >&2; exit 1; }; \
		$(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; \
	fi
endef

.PHONY: check test linux agent prove fuzz bench bench-jit lint objects tools clean

check: $(TOUCHSTONE)
	@ls $(KERNELS)/*/vmlinuz >/dev/null 2>&1 || echo '$(NO_KERNELS)'
	$(TOUCHSTONE) check

test: tools $(SOLVER) agent
	cargo test --workspace --no-fail-fast

# Kernels that cannot be got leave those that are there.
linux: tools
	@missing=; \
	command -v qemu-system-x86_64 >/dev/null || missing="$$missing qemu-system-x86"; \
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$$missing debian-archive-keyring"; \
	$(install)
	@mkdir -p $(KERNELS)
	@fuzz/linux/kernels.sh $(KERNELS); status=$$?; $(MAKE) --no-print-directory agent && exit $$status
	@for kernel in $(KERNELS)/*/package; do echo "$$(basename "$$(dirname "$$kernel")"): $$(sed -n 's/^package: //p' "$$kernel") $$(sed -n 's/^version: //p' "$$kernel")"; done

# The one process of guests, static, in their initramfs: built again when its sources have changed.
agent: tools
	@ls $(KERNELS)/*/vmlinuz >/dev/null 2>&1 || { echo '$(NO_KERNELS)'; exit 0; }; \
	RUSTFLAGS="-C target-feature=+crt-static" CARGO_TARGET_DIR=target/agent CARGO_PROFILE_RELEASE_STRIP=true \
		cargo build --quiet --release -p touchstone-linux-agent --target x86_64-unknown-linux-gnu && \
	cargo run --quiet -p touchstone-linux --bin touchstone-linux-pack -- $(AGENT) $(KERNELS)

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
	$(install)

# libz3 as the z3-solver wheel brings it; `--target` keeps it inside this folder.
$(SOLVER): | tools
	python3 -m pip install --quiet --disable-pip-version-check --target .solver --upgrade z3-solver==5.3.3.0
	@touch $@

clean:
	cargo clean
	rm -rf .solver $(KERNELS)
