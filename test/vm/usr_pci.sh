#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usr_pci.h as a stranger meets it: a program built from the installed headers with pkg-config, against the installed
# shared library, run on edu (device set `edu`). The program prints the TAP.

set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"; udrv unbind 00:02.0 >/dev/null' EXIT

# shellcheck disable=SC2046  # words
cc -std=c11 -O2 -Wall -Wextra -Werror -o "$work/usr_pci_edu" test/vm/installed/usr_pci_edu.c \
	$(pkg-config --cflags --libs libudrv)
ldd "$work/usr_pci_edu" | grep -q 'libudrv\.so\.0 => /'
# The mode is the machine's: bind would make a lazy domain strict.
udrv bind --lazy 00:02.0 >/dev/null
"$work/usr_pci_edu"
