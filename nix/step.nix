# guest/step for an architecture: /init of build machines. Output: step, one static file.
{ bootstrap, toolsets }:
arch:
let
  source = builtins.path { path = ../guest/step; name = "step"; };
in
bootstrap.run {
  name = "vcr-step-${arch}";
  CGO_ENABLED = "0";
  GOARCH = arch;
  GOFLAGS = "-trimpath -buildvcs=false";
  GOPROXY = "off";
  GOTOOLCHAIN = "local";
} ''
  export HOME=/tmp GOCACHE=/tmp/cache
  cd ${source}
  mkdir $out
  ${toolsets.go}/usr/lib/go-1.24/bin/go build -o $out/step -ldflags "-s -w -buildid=" .
''
