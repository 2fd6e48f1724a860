# A Linux kernel with everything built in, from Debian's source. `config` is a list of
# fragments of nix/kernel; docs/kernel.md has the reasons. `image` is what is booted of it.
# Output: kernel, config (what the fragments came to), System.map, symbols (an ELF file of
# nothing else, for a debugger).
{ bootstrap, toolsets, pins }:
{ name, board, config, image }:
let
  source = builtins.head (pins.members bootstrap.platform.arch "kernel-source");
  version = pins.version bootstrap.platform.arch source;
  tools = toolsets.kernel-build;
  compiler = toolsets."kernel-${board.linux}" or tools;
  # Without the comments: a better reason compiles nothing anew.
  option = "CONFIG_[A-Z0-9_]+=.+|# CONFIG_[A-Z0-9_]+ is not set";
  isOption = line: builtins.isString line && builtins.match option line != null;
  options = fragment: builtins.filter isOption (builtins.split "\n" (builtins.readFile fragment));
  # objtool, which x86 needs, reads ELF files by a library, and its Makefile wants an `ar`
  # that is not the shell's own.
  elf = toolsets.kernel-elf;
  elfLib = "${elf}/usr/lib/${bootstrap.platform.triplet}";
  forX86 = text: if board.linux == "x86" then " ${text}" else "";
  # Of the source, sorted by what reads it: every Kconfig is read, but no driver of these.
  unused = [ "Documentation/*/*" "tools/perf" "tools/testing" "samples/*/*.[ch]" "sound/*.[ch]" ]
    ++ map (name: "drivers/${name}/*.[ch]") [
      "accel" "gpu" "iio" "infiniband" "media" "net/ethernet" "net/wireless" "scsi" "staging" "usb"
    ];
  host = "${tools}/usr/lib/${bootstrap.platform.triplet}";
in
bootstrap.run ({
  name = "vcr-linux-${version}-${name}";
  path = [ tools ] ++ (if compiler == tools then [ ] else [ compiler ]);
  passAsFile = [ "fragment" ];
  fragment = builtins.concatStringsSep "" (map (line: "${line}\n") (builtins.concatMap options config));

  # Nothing of who builds, where and when.
  KBUILD_BUILD_TIMESTAMP = "1970-01-01 00:00:00";
  KBUILD_BUILD_USER = "vcr";
  KBUILD_BUILD_HOST = "vcr";
  KBUILD_BUILD_VERSION = "1";

  ARCH = board.linux;
  CROSS_COMPILE = "${board.triplet}-";
  # Programs that run while building are built like the tools: they run from the store.
  HOSTCFLAGS = "--sysroot=${tools}" + forX86 "-I${elf}/usr/include";
  HOSTLDFLAGS = "--sysroot=${tools} -Wl,-rpath=${host} -Wl,--dynamic-linker=${tools}/${bootstrap.platform.ld}"
    # --disable-new-dtags: the path holds for what libelf itself loads, too.
    + forX86 "-L${elfLib} -Wl,--disable-new-dtags -Wl,-rpath=${elfLib}";
  BISON_PKGDATADIR = "${tools}/usr/share/bison";
  M4 = "${tools}/usr/bin/m4";
} // (if board.linux == "x86" then { HOSTAR = "${tools}/usr/bin/ar"; } else { })) ''
  set -o pipefail
  shell=${bootstrap.busybox}/bin/sh
  ln -s $shell /tmp/sh # see kernel-build in nix/toolsets.nix
  # The shell would take busybox's tar and xz, which can less. -T0: by all CPUs.
  ar p ${pins.deb bootstrap.platform.arch source} data.tar.xz | xz -dc |
    tar -xO ./usr/src/${source}.tar.xz | ${tools}/usr/bin/xz -dcT0 |
    ${tools}/usr/bin/tar -x --strip-components=1 ${toString (map (pattern: "--exclude='${source}/${pattern}'") unused)}
  grep -rlI '^#! */bin/sh' scripts arch/${board.linux} | xargs sed -i "1s,^#! */bin/sh,#!$shell,"

  make() { command make SHELL=$shell "$@"; }
  make KCONFIG_ALLCONFIG="$fragmentPath" allnoconfig
  if grep -vxF -f .config "$fragmentPath"; then
    echo "the lines above did not survive: they need something that nobody asked for"
    exit 1
  fi
  jobs=$NIX_BUILD_CORES # 0: as many as there are CPUs
  [ "$jobs" -gt 0 ] || jobs=$(nproc)
  make -j"$jobs" $(basename ${image})

  mkdir $out
  case ${image} in
    vmlinux) "''${CROSS_COMPILE}strip" -s -o $out/kernel vmlinux ;;
    *) cp ${image} $out/kernel ;;
  esac
  "''${CROSS_COMPILE}objcopy" --only-keep-debug vmlinux $out/symbols
  cp .config $out/config
  cp System.map $out/System.map
''
