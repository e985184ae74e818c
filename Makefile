# SPDX-License-Identifier: MIT
# The top level: what a person types. `make help` lists it. The parts have Makefiles of their own.

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)

PREFIX ?= /usr/local
DESTDIR ?=
# Kernels to build the module for: all that have headers here.
KERNELS ?= $(patsubst /lib/modules/%/build,%,$(wildcard /lib/modules/*/build))

SOURCE_DIR := $(DESTDIR)/usr/src/udrv-$(VERSION)
LIBUDRV := $(MAKE) -C libudrv UDRV_VERSION=$(VERSION) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)
DRIVERS := $(MAKE) -C drivers PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)

all: lib drivers

help:
	@echo 'make            library, command and sample drivers'
	@echo 'make module     the kernel module, for KERNELS (here: $(or $(KERNELS),none with headers))'
	@echo 'make install    module by DKMS for KERNELS; library, command, man pages, udev rule, group udrv (PREFIX=$(PREFIX))'
	@echo 'make uninstall  take all of that away again'
	@echo 'make demo       watch a process drive a network card, in a virtual machine'
	@echo 'make check      all tests, in virtual machines; CHECK="--only PATTERN --kernel K" for some'
	@echo 'make fuzz       every call at random, for as long as you like; FUZZ="--seconds 3600 --seed N --kernel K"'
	@echo 'make torture    drivers killed, devices pulled out and unbound, hundreds of times; TORTURE="--lives N ..."'
	@echo 'make coverage   which lines of the module the tests and the fuzzer execute; COVERAGE="--only PATTERN" for some'
	@echo 'make guards     take each guard out of the module, and see its test fail; GUARDS=NAME for some'
	@echo 'make bench      measurements against UIO, VFIO, TAP and the kernel'\''s e1000; BENCH="--only net" for a part'
	@echo 'make shell      a root shell in a virtual machine with devices to play with; KERNEL=6.1|6.12|7.3'
	@echo 'make lint       sparse, checkpatch, cppcheck, clang: they say nothing'
	@echo 'make deps       install the Debian packages that building needs'
	@echo 'make clean      remove what was built (not the cache of the virtual machines)'

deps:
	@test/qemu/deps build

lib:
	+$(LIBUDRV) all

drivers: lib
	+$(if $(wildcard drivers/Makefile),$(DRIVERS) all)

# What runs in the virtual machines: sample drivers and test programs.
tests: drivers
	$(MAKE) -C test/vm all
	$(MAKE) -C test/bench all
	$(MAKE) -C test/fuzz all

module:
	@test -n '$(KERNELS)' || { echo 'No kernel headers here: apt-get install linux-headers-amd64' >&2; exit 1; }
	set -e; for k in $(KERNELS); do $(MAKE) -C module KDIR=/lib/modules/$$k/build W=1; done

install: install-module install-lib

install-lib: lib
	+$(LIBUDRV) install

# An older build of the same version is taken away first: DKMS would keep it.
install-module:
	@test -n '$(KERNELS)' || { echo 'No kernel headers here: apt-get install linux-headers-amd64' >&2; exit 1; }
	@command -v dkms >/dev/null || { echo 'DKMS is missing: apt-get install dkms' >&2; exit 1; }
	if dkms status udrv/$(VERSION) | grep -q .; then dkms remove udrv/$(VERSION) --all; fi
	rm -rf $(SOURCE_DIR)
	install -d $(SOURCE_DIR)/module/net $(SOURCE_DIR)/module/blk $(SOURCE_DIR)/uapi/udrv
	install -m 644 dkms.conf LICENSE $(SOURCE_DIR)
	install -m 644 module/Kbuild module/Makefile $(filter-out %.mod.c,$(wildcard module/*.[ch])) $(SOURCE_DIR)/module
	install -m 644 $(wildcard module/net/*.[ch]) $(SOURCE_DIR)/module/net
	install -m 644 $(wildcard module/blk/*.[ch]) $(SOURCE_DIR)/module/blk
	install -m 644 uapi/udrv/*.h $(SOURCE_DIR)/uapi/udrv
	env -u MAKEFLAGS -u MFLAGS dkms add udrv/$(VERSION)
	set -e; for k in $(KERNELS); do env -u MAKEFLAGS -u MFLAGS dkms install udrv/$(VERSION) -k $$k; done

uninstall:
	if dkms status udrv/$(VERSION) | grep -q .; then dkms remove udrv/$(VERSION) --all; fi
	rm -rf $(SOURCE_DIR)
	+$(LIBUDRV) uninstall

lint:
	@test/lint

clean:
	+$(LIBUDRV) clean
	+$(DRIVERS) clean
	$(MAKE) -C test/vm clean
	$(MAKE) -C test/unit clean
	$(MAKE) -C test/bench clean
	$(MAKE) -C test/fuzz clean
	rm -f module/*.o module/.*.cmd module/net/*.o module/net/.*.cmd module/blk/*.o module/blk/.*.cmd module/*.ko module/*.mod module/*.mod.c module/modules.order module/Module.symvers

include test/test.mk

.PHONY: all help deps lib drivers tests module install install-lib install-module uninstall lint clean
