#!/usr/bin/env bash
# The README's night on a cluster, on a real Slurm: an array of tasks, one of
# them killed and one requeued, verified, what is missing run again, and the
# catalog equal, byte for byte, to that of a single process.
#
#   tests/cluster/slurm.sh [HIWL]        (default target/release/hiwl)
#
# The commands are those between the markers in README.md, word for word.
# Slurm (controller, one node, munge) runs in a folder of its own, beside any
# other. It needs root, and installs Debian's packages if they are not there.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
hiwl=$(realpath "${1:-target/release/hiwl}")

if [ "$(id -u)" != 0 ]; then
  echo 'slurm.sh: not root: nothing was checked' >&2
  exit 0
fi
if ! command -v slurmctld slurmd sbatch munged >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    slurmctld slurmd slurm-client munge >/dev/null
fi

folder=$(mktemp -d)
pids=()
finish() {
  status=$?
  [ $status = 0 ] || tail -n 5 "$folder"/*.log "$folder"/site/night1/logs/* | cut -c 1-200 >&2 || true
  # Newest first: the node goes before the controller.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true
  done
  rm -rf "$folder"
}
trap finish EXIT
fail() {
  echo "slurm.sh: $*" >&2
  exit 1
}
# Waits until a command succeeds, a minute at most.
until_it() {
  for _ in $(seq 600); do
    if "$@" 2>/dev/null; then return; fi
    sleep 0.1
  done
  fail "in vain: $*"
}

# --- Slurm in a folder ---------------------------------------------------
chmod 755 "$folder"
mkdir "$folder"/{munge,spool,state,bin}
chmod 700 "$folder/munge"
socket=$folder/munge.socket
head -c 64 /dev/urandom >"$folder/munge/key"
chmod 600 "$folder/munge/key"
munged --foreground --force --key-file="$folder/munge/key" --socket="$socket" \
  --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" \
  --log-file="$folder/munge/log" >"$folder/munge.log" 2>&1 &
pids+=($!)
until_it test -S "$socket"

host=$(hostname -s)
read -r port_a port_b < <(python3 -c '
import socket
a, b = socket.socket(), socket.socket()
a.bind(("", 0)); b.bind(("", 0))
print(a.getsockname()[1], b.getsockname()[1])')
# More processors than there are, so that the README's tasks of 8 fit and run
# side by side. Requeued jobs wait until their credential has expired.
cat >"$folder/slurm.conf" <<CONF
ClusterName=hiwl
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port_a
SlurmdPort=$port_b
SlurmUser=root
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
AuthType=auth/munge
AuthInfo=socket=$socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobRequeue=1
KillWait=5
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=32 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
slurmctld -D -i >"$folder/slurmctld.log" 2>&1 &
pids+=($!)
slurmd -D -N "$host" >"$folder/slurmd.log" 2>&1 &
pids+=($!)
idle() { [ "$(sinfo --noheader --format=%T)" = idle ]; }
until_it idle

# --- the README's commands -----------------------------------------------
commands=$(sed -n '/<!-- cluster-commands -->/,/^```$/p' README.md | grep -v '^```\|^<!--')
plan=$(grep '^hiwl plan ' <<<"$commands")
submit=$(grep '^bash night1.sh ' <<<"$commands")
status=$(grep '^hiwl status ' <<<"$commands")
verify=$(grep '^hiwl verify ' <<<"$commands")
for command in plan submit status verify; do
  [ -n "${!command}" ] || fail "README.md has lost its $command command"
done

mkdir -p "$folder/site/cutouts"
cd "$folder/site"
cp "$root/fixtures/models/untrained-nano.safetensors" model.safetensors
"$hiwl" simulate made --count "${COUNT:-4800}" --size 240 --format tar --quiet
mv made/*.tar cutouts/
killed=1
requeued=2
# `hiwl` as the README calls it, with ranges for thousands of cutouts in place
# of millions. Tasks of a second are hard to catch: the first start of the two
# that are to be caught stops (SIGSTOP) once its first part is there.
cat >"$folder/bin/hiwl" <<WRAPPER
#!/usr/bin/env bash
[ "\$1" = plan ] && set -- "\$@" --range-size 30
task=\${SLURM_ARRAY_TASK_ID:--}
if [[ \$task == $killed || \$task == $requeued ]] && mkdir "$folder/caught-\$task" 2>/dev/null; then
  echo \$\$ >"$folder/caught-\$task/pid"
  part=\$(printf 'night1/catalog/part-%012d-%012d.parquet' \$((task * 30)) \$((task * 30 + 29)))
  (until [ -e "\$part" ]; do sleep 0.01; done; kill -STOP \$\$) &
fi
exec nice -n 10 "$hiwl" "\$@"
WRAPPER
chmod +x "$folder/bin/hiwl"
# The job script names the program that planned; HIWL goes before it.
export PATH=$folder/bin:$PATH HIWL=$folder/bin/hiwl

bash -c "$plan"
shards=$(sed -n 's/.*--shards \([0-9]*\).*/\1/p' <<<"$plan")
last=$((shards - 1))
submitted=$(bash -c "$submit")
echo "$submitted"
array=$(sed -n 's/^array \([0-9]*\) .*/\1/p' <<<"$submitted")
grep -q -- "(--array=0-$last)" <<<"$submitted" || fail "not the whole array: $submitted"

# Parts of shard $1: those whose range's number leaves $1.
parts_of() {
  for part in night1/catalog/part-*.parquet; do
    [ -e "$part" ] || continue
    first=$(sed 's/.*part-0*\([0-9][0-9]*\)-.*/\1/' <<<"$part")
    [ $((first / 30 % shards)) != "$1" ] || echo "$part"
  done
}
has_part() { [ "$(parts_of "$1" | wc -l)" -gt 0 ]; }
state() { scontrol show job "${array}_$1" --oneliner | sed -n 's/.* JobState=\([A-Z]*\).*/\1/p'; }
is() { [ "$(state "$1")" = "$2" ]; }

# Two tasks have each done a part and not all of them.
until_it has_part $killed
until_it has_part $requeued
sleep 1
bash -c "$status"
kill -KILL "$(cat "$folder/caught-$killed/pid")"
scontrol requeue "${array}_$requeued"
until_it is $killed FAILED
for task in $killed $requeued; do
  [ "$(parts_of $task | wc -l)" -lt 10 ] || fail "task $task was not caught at work"
done
grep -q 'Restarts=1' <(scontrol show job "${array}_$requeued" --oneliner) ||
  fail 'the task was not requeued'

# The verification behind the array comes whatever became of its tasks.
verified() { ls night1/logs/verify-*.log >/dev/null && grep -q 'rows in' night1/logs/verify-*.log; }
until_it verified
cat night1/logs/verify-*.log | head -n 12
grep -q -- "--array=$killed\$" night1/logs/verify-*.log ||
  fail "verify does not name task $killed and it alone"
grep -q '"event":"end"' "night1/logs/${array}_$requeued.log" || fail 'the requeued task did not end'
rm night1/logs/verify-*.log

# The same command again: what is missing and nothing else.
again=$(bash -c "$submit")
echo "$again"
grep -q -- "(--array=$killed)" <<<"$again" || fail "more than the missing: $again"
until_it verified
bash -c "$verify" | head -n 1

# A third time there is nothing to submit.
bash -c "$submit" | grep -q 'complete and undamaged' || fail 'a complete run was submitted'

# --- equal to a single process ------------------------------------------
inputs=$(sed -n 's/^hiwl plan \([^ ]*\) .*/\1/p' <<<"$plan")
# shellcheck disable=SC2086
"$hiwl" classify $inputs --model model.safetensors --output single --range-size 30 --quiet
diff -r night1/catalog single/catalog || fail 'the rows differ from those of a single run'
echo "slurm.sh: $(ls single/catalog | wc -l) parts, equal to those of a single run ($SECONDS s)"
