# Where the processes of all nodes find each other: the first node, and a port that no other job has.
THESEUS_COORDINATOR_HOST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
THESEUS_COORDINATOR_PORT=$((20000 + SLURM_JOB_ID % 20000))
THESEUS_WORLD_SIZE=$SLURM_NTASKS
export THESEUS_COORDINATOR_HOST THESEUS_COORDINATOR_PORT THESEUS_WORLD_SIZE
