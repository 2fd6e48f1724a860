"""What build machines are given of this host, as QEMU takes it."""
