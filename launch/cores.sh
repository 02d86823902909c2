# Sourced by launch/*.sh: on a CPU, one XLA device per core. A batch split
# over two devices keeps both cores busy where one device leaves much of a
# small encoder's work on one (1.3 times the segments/s on 2 cores). With an
# accelerator it changes nothing. Set XLA_FLAGS yourself to choose otherwise.
cores=$(python3 -c 'import os; print(os.cpu_count())' 2>/dev/null || echo 1)
case $cores in 2 | 4 | 8) ;; *) cores=1 ;; esac  # batches divide by these
export XLA_FLAGS="${XLA_FLAGS:---xla_force_host_platform_device_count=$cores}"
