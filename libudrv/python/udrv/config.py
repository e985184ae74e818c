# SPDX-License-Identifier: MIT
"""Config space: read all of it, write what the kernel's table of writable fields admits (udrv(4)).

Owns nothing but the way there. A write to what is not a driver's raises PermissionError.
"""

from . import abi, bar


class Config:
    """A device's config space."""

    def __init__(self, device):
        self._device = device

    @property
    def length(self):
        """256 bytes, or 4096 on PCI Express."""
        return self._region().length

    def _region(self):
        region = self._device.region(abi.REGION_CONFIG)
        if not region:
            raise LookupError("this kernel does not show config space")
        return region

    def read8(self, offset):
        return bar.read(self._device.fileno(), self._region(), offset, 1)

    def read16(self, offset):
        return bar.read(self._device.fileno(), self._region(), offset, 2)

    def read32(self, offset):
        return bar.read(self._device.fileno(), self._region(), offset, 4)

    def write8(self, offset, value):
        bar.write(self._device.fileno(), self._region(), offset, 1, value)

    def write16(self, offset, value):
        bar.write(self._device.fileno(), self._region(), offset, 2, value)

    def write32(self, offset, value):
        bar.write(self._device.fileno(), self._region(), offset, 4, value)
