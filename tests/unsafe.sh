#!/usr/bin/env bash
# What is unsafe, under tools that see what tests cannot: an access outside a
# buffer, a value that was never written, a pointer that may not be used.
#
#   tests/unsafe.sh [miri] [valgrind] [address]      (default: all)
#
# miri      the plain parts of the kernels (vectors as arrays, buffers, the
#           addressing of tiles), by Miri's rules of aliasing. The parts in AVX
#           are another machine's to it.
# valgrind  FITS through cfitsio: the conversion of pixels, and tables written
# address   the same, and all of the decoders, with the address sanitiser
#
# Miri and the sanitiser need a nightly toolchain (rustup toolchain install nightly
# --component miri,rust-src); valgrind is Debian's. An hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- miri valgrind address
nightly=${NIGHTLY:-nightly}

# The program of the library's tests, built by the given command.
tests_of() {
  "$@" --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | head -n 1
}

for tool; do
  echo "== $tool"
  case $tool in
    miri)
      # No file, no clock and no thread pool is looked at; seeds are fixed.
      MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR=target/miri \
        cargo "+$nightly" miri test -p hiwl-kernels --lib -- \
        products_are outer_products factors_are
      ;;
    valgrind)
      program=$(tests_of cargo test --release --lib)
      # valgrind does not know AVX-512; cfitsio does not use it.
      valgrind --quiet --error-exitcode=9 --leak-check=no \
        "$program" --test-threads 1 cfitsio:: export::fits::
      ;;
    address)
      flags="-Zsanitizer=address -Copt-level=1"
      RUSTFLAGS=$flags CFLAGS="-fsanitize=address" CARGO_TARGET_DIR=target/address \
        cargo "+$nightly" test --target x86_64-unknown-linux-gnu --lib -- \
        cutout:: storage:: model::import export::fits::
      ;;
    *)
      echo "no tool $tool: miri, valgrind, address" >&2
      exit 64
      ;;
  esac
done
