# A Go program of guest/ for an architecture, with build tags or without. Output: one static
# file of its name.
{ bootstrap, toolsets, tags ? "" }:
name: arch:
let
  source = builtins.path { path = ../guest + "/${name}"; inherit name; };
in
bootstrap.run {
  name = "vcr-${name}-${if tags == "" then "" else "${tags}-"}${arch}";
  CGO_ENABLED = "0";
  GOARCH = arch;
  GOFLAGS = "-trimpath -buildvcs=false${if tags == "" then "" else " -tags=${tags}"}";
  GOPROXY = "off";
  GOTOOLCHAIN = "local";
} ''
  export HOME=/tmp GOCACHE=/tmp/cache
  cd ${source}
  mkdir $out
  ${toolsets.go}/usr/lib/go-1.24/bin/go build -o $out/${name} -ldflags "-s -w -buildid=" .
''
