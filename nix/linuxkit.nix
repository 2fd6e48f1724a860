# linuxkit, the real one, compiled from its pinned module. Output: usr/bin/linuxkit.
{ bootstrap, toolsets, pins, goRun }:
let
  inherit (pins) linuxkit;
  inherit (toolsets) go;
  compiler = "${go}/usr/lib/go-1.24/bin/go";
  goVendor = builtins.path { path = ./lib/go-vendor; name = "go-vendor"; };

  # Source and dependencies. On a host whose sandbox cannot reach a Go module
  # proxy, nix/pins/fill makes the same tree with the same compiler.
  source = bootstrap.run {
    name = "linuxkit-vendored";
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = linuxkit.vendored;
    impureEnvVars = [ "GOPROXY" "http_proxy" "https_proxy" "no_proxy" ];
    SSL_CERT_DIR = "${go}/usr/share/ca-certificates/mozilla";
  } ''
    sh ${goVendor} ${compiler} ${linuxkit.module}@${linuxkit.version} $out
  '';
in
goRun {
  name = "vcr-linuxkit-${linuxkit.release}";
  inherit source;
  flags = [ "-mod=vendor" ];
} ''
  version=${linuxkit.module}/version
  mkdir -p $out/usr/bin
  go build -o $out/usr/bin/linuxkit \
    -ldflags "-s -w -buildid= -X $version.Version=${linuxkit.release}" .
  $out/usr/bin/linuxkit version
''
