{ toolchain, plan }: { }
