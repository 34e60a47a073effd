#!/usr/bin/env bash
# How long a newcomer waits: from a wheel, and from a tarball, to a page with pictures.
#
#   benches/first_minutes.sh target/wheels/hiwl-*.whl target/dist/hiwl-*.tar.gz
#
# In empty folders, with an environment that has neither this checkout nor its tools. pip
# fetches numpy and pyarrow; the time with and without its cache of them is told.
set -euo pipefail
wheel=$(realpath "$1")
tarball=$(realpath "$2")
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
alone=(env -i "PATH=/usr/bin:/bin" "HOME=$folder")
now() { date +%s.%N; }
row() { printf '| %s | %.1f s |\n' "$1" "$(echo "$3 - $2" | bc)"; }
page() { [ "$(grep -o 'data:image' "$1" | wc -l)" -ge 25 ] || { echo "no pictures in $1" >&2; exit 1; }; }

printf '| step | time |\n| --- | --- |\n'
for cache in no with; do
  rm -rf env hiwl-demo
  begun=$(now)
  "$python" -m venv env
  made=$(now)
  option=$([ $cache = no ] && echo --no-cache-dir || true)
  # shellcheck disable=SC2086
  env/bin/pip install --quiet --disable-pip-version-check $option "$wheel"
  installed=$(now)
  "${alone[@]}" env/bin/hiwl demo >demo.log 2>&1
  shown=$(now)
  page hiwl-demo/galaxies.html
  row "python -m venv, $cache cache" "$begun" "$made"
  row "pip install, $cache cache" "$made" "$installed"
  row 'hiwl demo' "$installed" "$shown"
  row "**wheel to page, $cache cache**" "$begun" "$shown"
done
rm -rf hiwl-demo
begun=$(now)
tar xf "$tarball"
"${alone[@]}" ./hiwl-*/bin/hiwl demo >demo.log 2>&1
shown=$(now)
page hiwl-demo/galaxies.html
row '**tarball to page**' "$begun" "$shown"
