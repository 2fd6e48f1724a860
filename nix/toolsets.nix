# The tools, in sets that are fetched only when something needs them. The package
# lists are in nix/pins/sets.json, what they resolve to in nix/pins/debian-*.json.
{ bootstrap, boards, deb, pins }:
let
  set = name: deb.toolset { inherit name; set = name; };
  python = set "python";
  pip = set "pip";

  # ruff is not in Debian. Its wheel has no canonical address, so pip is asked for it;
  # where the sandbox cannot reach an index, nix/pins/fill runs the same pip outside.
  ruffWheel =
    let
      pin = pins.ruff.${bootstrap.system};
      pipDownload = builtins.path { path = ./lib/pip-download; name = "pip-download"; };
    in
    bootstrap.run {
      name = pin.file;
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = pin.sha256;
      impureEnvVars = [ "PIP_INDEX_URL" "http_proxy" "https_proxy" "no_proxy" ];
    } ''
      cat ${pip}/usr/share/ca-certificates/mozilla/*.crt > /tmp/certificates
      export PIP_CERT=/tmp/certificates HOME=/tmp
      sh ${pipDownload} ${python} ${pip} ${pin.pypi} ${pin.platform} /tmp/wheel
      cp /tmp/wheel/* $out
    '';
in
# QEMU, a set for each board.
builtins.listToAttrs (
  map (board: { name = board.toolset; value = set board.toolset; }) (builtins.attrValues boards)
)
// {
  inherit python; # what the command line and the builders run on
  # What only the command line imports, so that no builder depends on it. The libraries it
  # needs are those of python, through whose executable they are found.
  attest = deb.toolset {
    name = "attest";
    set = "attest";
    extra = ''
      export CRYPTOGRAPHY_OPENSSL_NO_LEGACY=1 PYTHONPATH=$out/usr/lib/python3/dist-packages
      ${python}/usr/bin/python3 -B -c 'import cbor2, cryptography.x509'
      ${python}/usr/bin/python3 -B -m compileall -q -f -j 1 --invalidation-mode unchecked-hash \
        usr/lib/python3
    '';
  };
  build = set "build"; # squashfs-tools, cryptsetup, compressors
  cartesi = set "cartesi"; # what the Cartesi emulator runs on
  container = set "container"; # crun and passt: the containers of the profile dev
  gdb = set "gdb"; # gdb-multiarch, for the tests
  git = set "git";
  go = set "go"; # compiles linuxkit
  nbd = set "nbd"; # nbdkit
  nbd-client = set "nbd-client"; # nbdcopy and nbdinfo
  # Compilers for this machine, riscv64 and amd64, make, bison, flex. There is no /bin/sh in
  # the sandbox, where libc's popen() and system() look; here they look for /tmp/sh.
  kernel-build = deb.toolset {
    name = "kernel-build";
    set = "kernel-build";
    extra = ''
      ${python}/usr/bin/python3 -I -c '
      import pathlib, sys
      libc = pathlib.Path(sys.argv[1])
      libc.write_bytes(libc.read_bytes().replace(b"\0/bin/sh\0", b"\0/tmp/sh\0"))
      ' $lib/libc.so.6
    '';
  };
  kernel-arm64 = set "kernel-arm64"; # the compiler for arm64
  kernel-elf = set "kernel-elf"; # libelf, which compiling an x86 kernel takes
  oci = set "oci"; # skopeo, umoci
  podman = set "podman"; # podman and what it starts, for the tests
  registry = set "registry"; # a container registry, for the tests
  shell = set "shell"; # bash, for `nix develop`
  test-programs = set "test-programs"; # cosign, mandoc, rsync and shellcheck, which only tests take
  verify = set "verify"; # gpgv and Debian's archive keyring
  watch = set "watch"; # python3-watchdog, for --hot
  # python with what the tests need; ruff's wheel holds one static executable
  test = deb.toolset {
    name = "test";
    set = "test";
    extra = ''
      unzip -q -d /tmp/ruff ${ruffWheel}
      cp /tmp/ruff/ruff-*.data/scripts/ruff usr/bin/ruff
      chmod 755 usr/bin/ruff
      patchelf --no-sort --set-interpreter $out/$ld --force-rpath --set-rpath $out/$lib usr/bin/ruff
    '';
  };
}
