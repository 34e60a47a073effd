#!/usr/bin/env bash
# Builds what the recipes for containers say, without Docker and Apptainer, and runs it.
#
#   tests/containers.sh [TARBALL]
#
# TARBALL is what .ci/dist makes (target/dist/hiwl-VERSION-linux-MACHINE.tar.gz). Debian's
# buildah builds the Dockerfile on a Debian 12 that mmdebstrap makes, since no registry of
# images need be reached. Of the recipe for Apptainer, which Debian has not, the files are
# copied and the commands of %post, %runscript and %test run in a container of the same
# base. As root, with `apt-get install buildah crun mmdebstrap`; not part of the gate.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "containers: $*" >&2; exit 1; }
for tool in buildah mmdebstrap; do command -v "$tool" >/dev/null || fail "no $tool"; done

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
machine=$(uname -m)
name=hiwl-$version-linux-$machine.tar.gz
tarball=$(realpath "${1:-target/dist/$name}")
[ "$(basename "$tarball")" = "$name" ] || fail "$tarball is not called $name"

work=$(mktemp -d)
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
buildah() { command buildah --root "$work/images" --runroot "$work/running" "$@"; }
trap 'buildah rm --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

# What `FROM debian:12-slim` means here.
mmdebstrap --quiet --variant=minbase bookworm "$work/debian.tar"
base=$(buildah from scratch)
buildah add --quiet "$base" "$work/debian.tar" / >/dev/null
buildah commit --quiet "$base" docker.io/library/debian:12-slim >/dev/null

# A folder with the tarball alone stands for the checkout's target/dist.
mkdir -p "$work/checkout/target/dist"
cp "$tarball" "$work/checkout/target/dist/"
cp -r .ci "$work/checkout/"

# Whatever is in an image: the galaxies that come with the program, from a new folder.
classifies() { # CONTAINER COMMAND...
  local container=$1
  shift
  buildah run "$container" -- "$@" demo /tmp/there >/dev/null
  buildah run "$container" -- "$@" verify /tmp/there/run
  buildah run "$container" -- test -s /tmp/there/galaxies.html
}

echo '== Dockerfile'
(cd "$work/checkout" && buildah bud --quiet --pull-never --build-arg machine="$machine" \
  --tag "hiwl:$version" --file .ci/container/Dockerfile target/dist >/dev/null)
entry=$(buildah inspect --type image --format '{{.OCIv1.Config.Entrypoint}}' "hiwl:$version")
[ "$entry" = '[hiwl]' ] || fail "the image begins with $entry"
image=$(buildah from --pull-never "hiwl:$version")
[ "$(buildah run "$image" -- hiwl --version | head -n 1)" = "hiwl $version" ] || fail 'another version'
classifies "$image" hiwl

echo '== hiwl.def'
recipe=.ci/container/hiwl.def
section() { # NAME
  sed -n "/^%$1\$/,/^%/p" "$recipe" | grep -v '^%' \
    | sed "s/{{ version }}/$version/g; s/{{ machine }}/$machine/g"
}
[ "$(sed -n 's/^From: //p' "$recipe")" = debian:12-slim ] || fail 'another base'
box=$(buildah from --pull-never docker.io/library/debian:12-slim)
files=0
while read -r from to; do
  [ -n "$from" ] || continue
  buildah copy --quiet "$box" "$work/checkout/$from" "$to" >/dev/null
  files=$((files + 1))
done < <(section files)
[ "$files" = 1 ] || fail "$files files, not one"
buildah run "$box" -- sh -ec "$(section post)"
buildah run "$box" -- sh -ec "$(section test)" >/dev/null
# `apptainer run hiwl.sif ARGUMENTS`
classifies "$box" sh -ec "$(section runscript)" hiwl
echo 'both run'
