# Toolsets: Debian packages unpacked into one tree and made to run from the store.
# Output: usr/{bin,sbin,lib,...}; bin, sbin, lib and lib64 are links into usr.
#
# Only executables are patched: PT_INTERP and DT_RPATH point into the tree, so
# that no host library is ever used. Libraries stay as Debian built them.
{ bootstrap, pins }:
let
  inherit (bootstrap) platform run;
  unpack = debs: ''
    for d in bin sbin lib lib64; do mkdir -p $out/usr/$d; ln -s usr/$d $out/$d; done
    for deb in ${toString debs}; do ar p $deb data.tar.xz | xz -dc | tar -xo -C $out; done
  '';
  # patchelf runs through its own loader: it is what makes the others run.
  patchelf = run { name = "vcr-patchelf"; } (unpack (pins.debs platform.arch "patchelf"));
in
{
  toolset =
    { name, set, extra ? "" }:
    run { name = "vcr-tools-${name}"; } ''
      ${unpack (pins.debs platform.arch set)}
      cd $out
      chmod -R u+w .
      for d in doc man info locale lintian bug; do rm -rf usr/share/$d; done
      find . -type l | while read -r link; do
        target=$(readlink $link)
        case $target in
          /nix/*) ;;
          /*) if [ -e $out$target ]; then ln -sfn $out$target $link; else rm $link; fi ;;
        esac
      done

      lib=usr/lib/${platform.triplet} ld=${platform.ld}
      patchelf() {
        ${patchelf}/${platform.ld} --library-path ${patchelf}/$lib ${patchelf}/usr/bin/patchelf "$@"
      }
      find usr -type f -perm -100 | sort | while read -r file; do
        [ "$(head -c 4 $file)" = "$(printf '\177ELF')" ] || continue
        case $file in */ld-linux-*|*/libc.so.6) continue ;; esac
        patchelf --print-interpreter $file > /dev/null 2>&1 || continue
        # --no-sort: patchelf 0.18 breaks non-PIE executables such as python3.13 without it
        patchelf --no-sort --set-interpreter $out/$ld --force-rpath --set-rpath $out/$lib $file
        $out/$ld --inhibit-cache --list $file > /tmp/libraries || { echo "cannot load $file"; exit 1; }
        if grep '=>' /tmp/libraries | grep -v "=> $out/"; then echo "unresolved in $file"; exit 1; fi
      done

      # Hash-based, unchecked .pyc: no times inside, and never rewritten (root may write the store).
      # -B: what compileall itself imports must not be cached the usual way, by time, first.
      if [ -x usr/bin/python3 ]; then
        $out/usr/bin/python3 -I -B -m compileall -q -f -j 1 --invalidation-mode unchecked-hash \
          usr/lib/python3.*/ usr/lib/python3/
      fi
      ${extra}
    '';
}
