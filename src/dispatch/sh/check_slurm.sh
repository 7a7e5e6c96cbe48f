section version
sbatch --version 2>&1
section config
scontrol show config 2>&1 | grep -E '^(SlurmctldParameters|PreemptMode|MaxArraySize|KillWait|JobRequeue|ClusterName)'
section accounting
sacct -n -X -S now 2>&1 >/dev/null | tail -n 1
:
