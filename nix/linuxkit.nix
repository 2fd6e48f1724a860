# linuxkit, the real one, compiled from its pinned module. Output: usr/bin/linuxkit.
{ bootstrap, toolsets, pins }:
let
  inherit (pins) linuxkit;
  inherit (toolsets) go;
  compiler = "${go}/usr/lib/go-1.24/bin/go";
  goVendor = builtins.path { path = ./lib/go-vendor; name = "go-vendor"; };

  # Source and dependencies. On a host whose sandbox cannot reach a Go module
  # proxy, nix/pins/fill makes the same tree with the same compiler.
  source = bootstrap.run {
    name = "linuxkit-vendored";
    fillFrom = "go:${linuxkit.module}@${linuxkit.version}";
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = linuxkit.vendored;
    impureEnvVars = [ "GOPROXY" "http_proxy" "https_proxy" "no_proxy" ];
    SSL_CERT_DIR = "${go}/usr/share/ca-certificates/mozilla";
  } ''
    sh ${goVendor} ${compiler} ${linuxkit.module}@${linuxkit.version} $out
  '';
in
bootstrap.run {
  name = "vcr-linuxkit-${linuxkit.release}";
  CGO_ENABLED = "0";
  GOFLAGS = "-mod=vendor -trimpath -buildvcs=false";
  GOTOOLCHAIN = "local";
  GOPROXY = "off";
} ''
  export HOME=/tmp GOCACHE=/tmp/cache
  cd ${source}
  version=${linuxkit.module}/version
  mkdir -p $out/usr/bin
  ${compiler} build -o $out/usr/bin/linuxkit \
    -ldflags "-s -w -buildid= -X $version.Version=${linuxkit.release}" .
  $out/usr/bin/linuxkit version
''
