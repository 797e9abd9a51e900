# make demo   pack the example site as tar and FAT, verify and list both
# make test   install what the tests need, then lint, type-check and test
# make docs   build the site into build/site
# make help   the rest

PYTHON ?= python3
# The system's own, where it will do: it is built as the peers beside it are.
BENCH_PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo /usr/bin/python3 || echo $(PYTHON))
VENV := .venv
BIN := $(VENV)/bin

TEST_PACKAGES := git mtools dosfstools '7zip|p7zip-full' libarchive-tools busybox-static \
	btrfs-progs xfsprogs e2fsprogs erofs-utils util-linux qemu-system-x86 cpio kmod tmux strace zip ninja-build \
	libvirt-clients libxml2-utils 'libvirt-common|libvirt0' 'libxenmisc4.17|libxenmisc4.20' \
	ocaml libcmdliner-ocaml-dev openssh-client ocaml-dune shellcheck systemd make \
	grub-common sleuthkit pax perl ovmf 'efi-shell-x64|ovmf' libnbd-bin python3-libnbd nbdkit 'nbdfuse|libnbd-bin' qemu-utils bmap-tools file \
	bash zsh fish man-db groff mandoc \
	fdisk gdisk parted 'systemd-repart|systemd' systemd-boot-efi \
	zstd casync cryptsetup-bin dmsetup openssl gcc pkg-config libseccomp-dev erofs-utils
BENCH_PACKAGES := mtools dosfstools libarchive-tools btrfs-progs xfsprogs e2fsprogs util-linux nbdkit libnbd-bin \
	genimage cryptsetup-bin erofs-utils

# Tests start thousands of processes, which would compile all that they import.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo docs reference test fetched linted typed tested test-vm test-all test-oldest release sbom bench clean help

help:
	@sed -n 's/^# make /make /p' Makefile
	@echo "make reference  man pages and completion scripts, from the parser and docs/cli.md"
	@echo "make test-vm    only the boot of a real kernel in QEMU"
	@echo "make test-all   the tests on every CPython 3.11 to 3.14 that is installed"
	@echo "make test-oldest  the tests with the oldest libraries that are allowed"
	@echo "make release    build and test what is published, into dist/; nothing is uploaded"
	@echo "make sbom       a bill of materials, of an installation with all extras"
	@echo "make bench      measure, side by side with the peers"
	@echo "make clean      remove what all these made"

demo:
	@scripts/venv $(VENV) $(PYTHON) .
	@$(BIN)/python examples/generate-media
	@BIN=$(BIN) scripts/demo

reference:
	@scripts/venv $(VENV) $(PYTHON) '.[test]'
	$(BIN)/python scripts/reference.py

# Serve build/site with any server; it asks no other host for anything.
docs:
	@scripts/venv $(VENV) $(PYTHON) '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

test:
	@scripts/install-debian $(TEST_PACKAGES)
	@$(MAKE) --no-print-directory -j 2 fetched linted
	@$(MAKE) --no-print-directory -j 2 typed tested

fetched:
	@scripts/fetch-kernel
	@scripts/fetch-cloud-init
	@scripts/fetch-solo5

linted:
	@scripts/venv $(VENV) $(PYTHON) '.[test]'
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# One processor would wait for the other while types are checked alone.
typed:
	$(BIN)/mypy

tested:
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL $(BIN)/python -m pytest -n 3 --dist worksteal

test-vm:
	@scripts/install-debian $(TEST_PACKAGES)
	@scripts/venv $(VENV) $(PYTHON) '.[test]'
	@scripts/fetch-kernel
	$(BIN)/python -m pytest tests/vm

test-all:
	@scripts/install-debian $(TEST_PACKAGES)
	@scripts/fetch-kernel
	@scripts/fetch-cloud-init
	@scripts/fetch-solo5
	@scripts/test-all

test-oldest:
	@scripts/install-debian $(TEST_PACKAGES)
	@scripts/fetch-kernel
	@scripts/fetch-cloud-init
	@PYTHON=$(PYTHON) scripts/test-oldest

release:
	@PYTHON=$(PYTHON) scripts/release

sbom:
	@PYTHON=$(PYTHON) scripts/release build sbom

bench:
	@scripts/install-debian $(BENCH_PACKAGES)
	@scripts/venv .venv-bench $(BENCH_PYTHON) '.[bench]'
	.venv-bench/bin/python benchmarks/run.py $(BENCH)

clean:
	rm -rf build dist .venv .venv-3.* .venv-bench .venv-oldest .venv-release .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f examples/site/media/*.avi examples/deployment/media/*.avi
