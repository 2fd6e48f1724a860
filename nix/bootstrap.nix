# From nothing to a shell: a static unpacker takes Debian's static busybox out of
# its .deb. busybox's own bytes are pinned by NAR hash, so the unpacker needs no
# trust. Returns { fetch, busybox, run, ... }; nothing of the host is used.
{ system, pins }:
let
  inherit (pins) seed;
  systems = {
    x86_64-linux = { arch = "amd64"; triplet = "x86_64-linux-gnu"; ld = "usr/lib64/ld-linux-x86-64.so.2"; };
    aarch64-linux = { arch = "arm64"; triplet = "aarch64-linux-gnu"; ld = "usr/lib/ld-linux-aarch64.so.1"; };
  };
  platform = systems.${system} or (throw "vcr runs on x86_64-linux and aarch64-linux, not on ${system}");

  # A file from the network by hash. The output path depends on the hash and the
  # name only, so nix/pins/fill may supply the bytes from anywhere.
  fetch =
    { name, url, hash, executable ? false }:
    derivation {
      inherit name url executable;
      system = "builtin";
      builder = "builtin:fetchurl";
      outputHashMode = if executable then "recursive" else "flat";
      outputHashAlgo = "sha256";
      outputHash = hash;
      unpack = false;
      preferLocalBuild = true;
      impureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];
    };

  sevenzip = fetch {
    name = "7zzs";
    inherit (seed.sevenzip.${system}) url;
    hash = seed.sevenzip.${system}.nar;
    executable = true;
  };

  extract = name: args: extra: derivation ({
    inherit name system args;
    builder = sevenzip;
  } // extra);

  # A .deb is an ar archive; 7-Zip decompresses its data.tar.xz on the way.
  busyboxFile =
    let
      out = placeholder "out";
      data = extract "busybox-data" [ "x" "-o${out}" "${pins.deb platform.arch "busybox-static"}" ] { };
    in
    extract "busybox" [ "e" "-o${out}" "${data}/data.tar" "./usr/bin/busybox" ] {
      outputHashMode = "recursive";
      outputHashAlgo = "sha256";
      outputHash = seed.busybox.${system};
    };

  busybox = derivation {
    name = "vcr-busybox";
    inherit system;
    builder = "${busyboxFile}/busybox";
    args = [
      "sh"
      "-euc"
      ''
        b=${busyboxFile}/busybox
        $b mkdir -p $out/bin
        $b cp $b $out/bin/busybox
        for applet in $($b --list); do
          [ $applet = busybox ] || $b ln -s busybox $out/bin/$applet
        done
      ''
    ];
  };

  # A derivation built by busybox's shell. `path` adds toolsets to PATH; other
  # attributes are the script's environment.
  run =
    { name, path ? [ ], ... }@attrs: script:
    derivation (removeAttrs attrs [ "path" ] // {
      inherit name system;
      builder = "${busybox}/bin/sh";
      args = [ "-euc" script ];
      PATH = builtins.concatStringsSep ":" (
        builtins.concatMap (p: [ "${p}/usr/bin" "${p}/usr/sbin" ]) path ++ [ "${busybox}/bin" ]
      );
      LC_ALL = "C.UTF-8";
      TZ = "UTC";
    });
in
{
  inherit system platform fetch busybox run;
}
