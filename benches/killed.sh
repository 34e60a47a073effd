#!/usr/bin/env bash
# SIGKILL at a hundred random moments: whatever the moment, the same command
# goes on, and in the end the catalog is byte for byte that of a run that
# nobody disturbed.
#
#   benches/killed.sh [KILLS] [SEED]        (default 100 1)
set -euo pipefail
cd "$(dirname "$0")/.."
hiwl=${HIWL:-$PWD/target/release/hiwl}
kills=${1:-100}
RANDOM=${2:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$hiwl" simulate "$folder/in" --count 3000 --size 240 --format tar --quiet
classify() {
  ${exec_:-} "$hiwl" classify "$folder/in" --output "$1" --range-size 40 --quiet \
    --model fixtures/models/untrained-nano.safetensors
}
began=$(date +%s%N)
classify "$folder/undisturbed"
whole=$((($(date +%s%N) - began) / 1000000))

killed=0 finished=0 during_plan=0
while [ $killed -lt "$kills" ]; do
  # In the place of the subshell, so that the signal reaches it.
  (exec_=exec classify "$folder/out") &
  child=$!
  # Anywhere from before the first byte to near the end of a whole run.
  sleep "$(printf '0.%03d' $((RANDOM % (whole < 999 ? whole : 999))))"
  if kill -KILL $child 2>/dev/null && ! wait $child 2>/dev/null; then
    killed=$((killed + 1))
    [ -e "$folder/out/run.json" ] || during_plan=$((during_plan + 1))
  else
    # It was done: held against the undisturbed run, and begun anew.
    finished=$((finished + 1))
    diff -r "$folder/out/catalog" "$folder/undisturbed/catalog"
    rm -rf "$folder/out"
  fi
done
classify "$folder/out"
diff -r "$folder/out" "$folder/undisturbed"
"$hiwl" verify "$folder/out" | head -n 1
echo "$killed kills, $during_plan of them while planning, $finished runs finished between them; a whole run takes $whole ms"
