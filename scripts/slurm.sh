# Sourced by the scripts beside it. `launch KEY=VALUE ...` starts main.py: by srun on all GPUs of a Slurm job, elsewhere as
# one process. A job that runs out of time, or is told to (SIGUSR1), saves, queues itself again and goes on from there:
# trainings from their last step, evaluations from their last batch.
#
#   sbatch scripts/train_owt_duo.sh trainer.max_steps=10             # arguments pass through, the last one wins
#   sbatch --nodes=2 --gpus-per-node=4 scripts/train_owt_duo.sh      # any number of either
#   bash scripts/train_owt_duo.sh trainer.max_steps=10               # here, without Slurm
#
# What a site or user sets in the environment:
#   SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_QOS, SBATCH_TIMELIMIT   sbatch's own, read by it; default: the cluster's
#   SUITE_WORK     what relative paths are relative to: outputs/, results/, arguments; default: the repository
#   SUITE_DATA     tokenized corpora; default: ~/.cache/discrete-diffusion
#   SUITE_PYTHON   the interpreter; default: .venv/bin/python of the repository (any of quickstart.sh and test.sh makes it)
#   SUITE_SETUP    a file to source first, such as one that loads modules or sets HF_HOME; default: none
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${SUITE_PYTHON:-$root/.venv/bin/python}"
stopped=""
# The number of an array may be that of one of its tasks too, and then stands for them all.
job="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}"
job="${job:-${SLURM_JOB_ID:-}}"

launch() {
    [ -z "${SUITE_SETUP:-}" ] || source "$SUITE_SETUP"
    if ! command -v "$python" > /dev/null; then
        echo "error: SUITE_PYTHON=$python: there is no such program; scripts/quickstart.sh makes the default one" >&2
        exit 2
    fi
    mkdir -p "${SUITE_WORK:-$root}"
    cd "${SUITE_WORK:-$root}"
    local line=("$python" "$root/main.py")
    [ -z "${SUITE_DATA:-}" ] || line+=("data.cache_dir=$SUITE_DATA")
    if [ -z "$job" ]; then
        exec "${line[@]}" trainer.devices=1 "$@"
    fi
    local nodes="${SLURM_NNODES:-1}" devices="${SLURM_GPUS_ON_NODE:-1}" cores="${SLURM_CPUS_PER_TASK:-1}"
    line+=("trainer.num_nodes=$nodes" "trainer.devices=$devices")
    [ "$((nodes * devices))" -eq 1 ] || line+=(strategy=ddp)
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$cores}" # not those of the node for each process
    trap save_and_stop USR1
    srun --nodes="$nodes" --ntasks="$((nodes * devices))" --ntasks-per-node="$devices" \
        --cpus-per-task="$cores" --kill-on-bad-exit=1 "${line[@]}" "$@" &
    finish "$!"
}

# On SIGTERM the processes of a run keep together what they have after their current step or batch and end with 143. To the
# job's step alone: srun itself would kill them.
save_and_stop() {
    stopped=yes
    scancel --signal=TERM "$job"
}

# Waits for srun, which a signal interrupts, and ends as it did.
finish() {
    local status=0
    wait "$1" || status=$?
    while kill -0 "$1" 2> /dev/null; do
        status=0
        wait "$1" || status=$?
    done
    if [ -n "$stopped" ] && [ "$status" -ne 0 ]; then
        scontrol requeue "$job"
    fi
    exit "$status"
}
