# How anything is compiled by the pinned Go: from SOURCE alone, the same bytes wherever.
# `go` in SCRIPT is the compiler; `flags` come before ours, `env` is added.
{ bootstrap, go }:
{ name, source, flags ? [ ], env ? { } }:
script:
bootstrap.run ({
  inherit name;
  CGO_ENABLED = "0";
  GOFLAGS = toString (flags ++ [ "-trimpath" "-buildvcs=false" ]);
  GOPROXY = "off";
  GOTOOLCHAIN = "local";
} // env) ''
  export HOME=/tmp GOCACHE=/tmp/cache
  go() { ${go}/usr/lib/go-1.24/bin/go "$@"; }
  cd ${source}
  ${script}
''
