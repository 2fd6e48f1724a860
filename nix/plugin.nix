# The plugin of QEMU that samples a machine: nix/plugin. Output: samples.so.
{ bootstrap, toolsets }:
let
  tools = toolsets.kernel-build;
  source = builtins.path { path = ./plugin; name = "plugin"; };
in
bootstrap.run { name = "vcr-plugin"; path = [ tools ]; } ''
  mkdir $out
  gcc --sysroot=${tools} -O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden \
    -ffile-prefix-map=${source}=. -o $out/samples.so ${source}/samples.c
''
