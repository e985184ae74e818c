# SPDX-License-Identifier: MIT
#
# What the top-level Makefile includes for everything that boots a machine. Each target sees to its own Debian packages.

LAB := test/qemu

.PHONY: check fuzz torture coverage guards shell bench demo lab lab-deps

lab-deps:
	@$(LAB)/deps

# Everything: `make check CHECK="--only irq* --kernel 6.1"` for a part of it, see test/run --help.
check: lab-deps
	@test/run $(CHECK)

# Every call at random, on the debug kernel, 10 minutes; FUZZ="--seconds 3600 --seed 7": see test/fuzz/run --help.
fuzz: lab-deps
	@test/fuzz/run $(FUZZ)

# The worst, many times over, in minutes: `make torture TORTURE="--lives 20 --mode none"` for less, see test/torture --help.
torture: lab-deps
	@test/torture $(TORTURE)

# Lines of module/ that tests and fuzzer execute, on the debug kernel; COVERAGE="--only node": see test/coverage/run --help.
coverage: lab-deps
	@test/coverage/run $(COVERAGE)

# Would the tests see it if a guard of the module were gone? GUARDS="'pin-*'" for some: see test/guards/README.md.
guards: lab-deps
	@test/guards/run $(GUARDS)

# A root shell on KERNEL (6.1) with the module loaded and devices to play with: `make shell KERNEL=7.3 VM="--iommu lazy"`.
KERNEL ?= 6.1
shell: lab-deps
	@$(LAB)/vm --kernel $(KERNEL) --devices all --shell $(VM)

demo: lab-deps
	@$(LAB)/demo

bench: lab-deps
	@test/bench/run $(BENCH)

# Root file systems and kernels only, so that later runs start at once.
lab: lab-deps
	@$(LAB)/prepare 6.1 6.12 7.3 debug
