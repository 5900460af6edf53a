# SPDX-License-Identifier: GPL-2.0-or-later
"""The NICs that evnf preflight is judged on: QEMU's, each with its driver of Debian's kernels."""
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Nic:
    name: str
    device: str  # as QEMU's -device has it
    driver: str
    native: tuple = ()  # the first Linux that takes a program for it, and the first that no more does
    mtus: tuple = (9000,)  # that are tried too: the greatest at which drivers take a program, and others
    queues: int = 1
    finding: str = ""  # what must be an error if there is no native XDP, beside "xdp"
    mac: str = ""

    def native_in(self, version):
        return bool(self.native) and self.native[0] <= version < self.native[1]


ALWAYS = (0, 0), (99, 0)
ONE_PAGE = (3506, 3507)
UNSUMMED = "".join(f",guest_{what}=off" for what in ("tso4", "tso6", "ecn", "ufo", "csum"))
KINDS = (
    Nic("virtio", "virtio-net-pci", "virtio_net", ALWAYS, (*ONE_PAGE, 4064, 4065, 9000)),
    Nic("virtio-4-queues", "virtio-net-pci,mq=on,vectors=10", "virtio_net", ALWAYS, ONE_PAGE, queues=4),
    # That it drops what does not fit, which it did in silence, it refuses since 6.3.
    Nic("virtio-mtu-4000", "virtio-net-pci,mq=on,vectors=6,host_mtu=4000", "virtio_net", ((0, 0), (6, 3)),
        ONE_PAGE, queues=2, finding="mtu"),
    Nic("virtio-unmerged", "virtio-net-pci,mrg_rxbuf=off", "virtio_net", ALWAYS, ONE_PAGE),
    Nic("virtio-offloads-fixed", "virtio-net-pci,ctrl_guest_offloads=off", "virtio_net", finding="offloads"),
    # What preflight says is to be done about the one before.
    Nic("virtio-offloads-mended", "virtio-net-pci,ctrl_guest_offloads=off" + UNSUMMED, "virtio_net", ALWAYS),
    Nic("vmxnet3", "vmxnet3", "vmxnet3", ((6, 6), (99, 0)), (3494, 3495)),
    Nic("e1000", "e1000", "e1000"),
    Nic("e1000e", "e1000e", "e1000e"),
    Nic("rtl8139", "rtl8139", "8139cp"),
    Nic("pcnet", "pcnet", "pcnet32"),
)
NICS = {nic.name: replace(nic, mac=f"02:00:00:00:64:{n:02x}") for n, nic in enumerate(KINDS, 1)}
MODULES = ["virtio_pci", *dict.fromkeys(nic.driver for nic in NICS.values())]
# Where those and what they need are in the tree of a kernel's modules, as patterns.
FILES = ["net/core", "net/sched", "lib", "drivers/virtio", "drivers/ptp", "drivers/pps",
         "drivers/net/virtio_net.*", "drivers/net/net_failover.*", "drivers/net/mii.*", "drivers/net/vmxnet3",
         "drivers/net/ethernet/intel/e1000*", "drivers/net/ethernet/realtek/8139*",
         "drivers/net/ethernet/amd/pcnet32.*"]


def devices():
    """QEMU's words. A tap gives guests what a cloud's does: several queues, and packets that are
    merged or unsummed."""
    out = []
    for nic in NICS.values():
        queues = f",queues={nic.queues}" if nic.queues > 1 else ""
        out += ["-netdev", f"tap,id={nic.name},script=no,downscript=no,vhost=off{queues}",
                "-device", f"{nic.device},netdev={nic.name},mac={nic.mac},romfile="]
    return out
