# Sourced by launch/*.sh: settings for a CPU; with an accelerator they change
# little. Set the variables yourself to choose otherwise.
#
# One XLA device per core: a batch split over two devices keeps both cores
# busy where one device leaves much of a small encoder's work on one (1.3
# times the segments/s on 2 cores).
cores=$(python3 -c 'import os; print(os.cpu_count())' 2>/dev/null || echo 1)
case $cores in 2 | 4 | 8) ;; *) cores=1 ;; esac  # batches divide by these
export XLA_FLAGS="${XLA_FLAGS:---xla_force_host_platform_device_count=$cores}"
# Freed memory stays with the process. A step takes hundreds of MB and gives
# them back; glibc would return them to the system, and each step would wait
# for the same pages anew, a sixth of its CPU time. Records likewise.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-1}"  # others hold no large block
export MALLOC_MMAP_MAX_="${MALLOC_MMAP_MAX_:-0}"
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-1099511627776}"
