"""The command line of an enclave, which is in its first ramdisk once more.

Registers are of the parts of an image one after the other, without anything between: words
moved from the line to the kernel's end change none. guest/loader/cmdline.go, behind both,
compares the line that the kernel got with this one; what a hypervisor may add is said there.
"""

# reboot=k, panic=-1: whatever goes wrong ends the enclave. pci=off: it has virtio-mmio only,
# and is told where by what the hypervisor adds to this line.
CMDLINE = "reboot=k panic=-1 pci=off console=ttyS0 quiet random.trust_cpu=on rdinit=/init"
