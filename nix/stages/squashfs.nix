# The root drive. Output: root.squashfs (uncompressed), rungs.json.
{ toolchain, plan, sandbox, rootfs, ... }:
toolchain.run {
  name = "vcr-squashfs-${plan.name}";
  SOURCE_DATE_EPOCH = toString plan.epoch;
} ''
  mkdir $out
  # -no-hardlinks: an optimised store would make two files one inode.
  # -no-fragments: which files share one is a matter of timing, in spite of -reproducible.
  # -root-*: from a tar the root directory is 0777 otherwise.
  # -noI...: uncompressed, so that a machine reads blocks and nothing depends on a compressor.
  ${toolchain.build}/usr/bin/mksquashfs - $out/root.squashfs -tar -reproducible -no-fragments -noappend \
    -no-hardlinks -root-mode 0755 -root-uid 0 -root-gid 0 \
    -noI -noId -noD -noF -noX -no-progress -quiet < ${rootfs}/root.tar
  ${sandbox.call { module = "squashfs"; } "" "$out"}
''
