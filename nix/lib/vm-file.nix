# vm.json, what a machine is started from. Output: vm.json, whose references keep what it
# names alive.
{ toolchain }:
name: vm:
toolchain.run {
  inherit name;
  vm = builtins.toJSON ({ schema = 1; } // vm);
  passAsFile = [ "vm" ];
} ''
  mkdir $out
  cp $vmPath $out/vm.json
''
