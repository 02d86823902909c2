#!/usr/bin/env bash
# A main on every host of a TPU slice of a GKE cluster, as a JobSet. Needs
# kubectl, and a cluster with JobSet 0.6 or newer and the Cloud Storage FUSE
# CSI driver; makes nothing but the JobSet.
#
#   bash launch/gke.sh run    --name=N FLAGS MAIN [the main's flags]
#   bash launch/gke.sh status | tail | delete  --name=N
#
# In the pods the bucket is /data, read-only, and the claim is /runs. Flags
# stand before MAIN:
#
#   --name=N              of the JobSet
#   --context=C           kubectl's context; its current one without
#   --namespace=S         kubectl's namespace; its current one without
#   --image=I             run: made from launch/Dockerfile
#   --accelerator=A       run: the nodes' label, such as tpu-v5-lite-podslice
#   --topology=T          run: the slice's shape, such as 16x16
#   --chips_per_host=4    run: of the machine type
#   --bucket=B            run: bucket that holds the data, without gs://
#   --claim=C             run: PersistentVolumeClaim that all pods can write
#                         (ReadWriteMany), such as a Filestore's
#   --service_account=A   run: Kubernetes account that may read the bucket
#   --spot                run: on Spot nodes
#   --restarts=20         run: how often after code 143 (preempted and saved)
#                         or a lost node, at most
#   --error_restarts=0    run: more restarts, and then also after other errors;
#                         never after 2, bad input. JobSet has one count for all
#   --grace_seconds=120   run: from SIGTERM to SIGKILL; nodes may allow less
#   --env=NAME=VALUE      run: into the main's environment; may be repeated
#   --worker=0            tail: which host
#   --lines=20            tail: how many
#   --follow              tail: goes on
#   --dry_run             prints the manifest and the commands, runs none
#
# To run again under a name, `delete` what has it: the run resumes from /runs.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/flags.sh
# Since bash 5.2 an & in a replacement would stand for what was replaced.
shopt -u patsub_replacement 2>/dev/null || true

do=${1:-}
case $do in
  run | status | tail | delete) shift ;;
  --help) usage; exit 0 ;;
  *) fail "got '$do', want run, status, tail or delete; see --help" ;;
esac

name='' image='' accelerator='' topology='' chips_per_host=4 bucket=''
claim='' service_account='' spot='' restarts=20 error_restarts=0
grace_seconds=120 worker=0 lines=20 follow=()
environment=(ACCFM_DISTRIBUTED=auto) kubectl=(kubectl)
while [ $# -gt 0 ]; do
  case $1 in
    --help) usage; exit 0 ;;
    --name=*) name=${1#*=} ;;
    --context=*) kubectl+=("$1") ;;
    --namespace=*) kubectl+=("$1") ;;
    --image=*) image=${1#*=} ;;
    --accelerator=*) accelerator=${1#*=} ;;
    --topology=*) topology=${1#*=} ;;
    --chips_per_host=*) chips_per_host=${1#*=} ;;
    --bucket=*) bucket=${1#*=} ;;
    --claim=*) claim=${1#*=} ;;
    --service_account=*) service_account=${1#*=} ;;
    --spot) spot='cloud.google.com/gke-spot: "true"' ;;
    --restarts=*) restarts=${1#*=} ;;
    --error_restarts=*) error_restarts=${1#*=} ;;
    --grace_seconds=*) grace_seconds=${1#*=} ;;
    --env=*=*) environment+=("${1#*=}") ;;
    --worker=*) worker=${1#*=} ;;
    --lines=*) lines=${1#*=} ;;
    --follow) follow=(--follow) ;;
    --dry_run) dry_run=1 ;;
    -*) unknown "$1" ;;
    *) break ;;
  esac
  shift
done
need name "$name" "of the JobSet"
[ "$do" = run ] || [ $# = 0 ] || unknown "$1"

text() { # VALUE as a YAML text
  local value=${1//\\/\\\\}
  printf '"%s"' "${value//\"/\\\"}"
}

list() { # VALUE... as a YAML list in one line
  local out='' value
  for value in "$@"; do
    out+="${out:+, }$(text "$value")"
  done
  printf '[%s]' "$out"
}

variables() { # NAME=VALUE... as the `env` of a container
  local out='' value
  for value in "$@"; do
    out+="${out:+, }{name: $(text "${value%%=*}"), "
    out+="value: $(text "${value#*=}")}"
  done
  printf '[%s]' "$out"
}

count_hosts() { # of the slice, into `hosts`
  local chips=1 side shape=$topology
  while true; do
    side=${shape%%x*}
    case $side in
      '' | 0* | *[!0-9]*)
        fail "--topology: got '$topology', want a shape such as 16x16" ;;
    esac
    chips=$((chips * side))
    [ "$side" != "$shape" ] || break
    shape=${shape#*x}
  done
  if [ "$chips_per_host" = 0 ] || [ $((chips % chips_per_host)) != 0 ]; then
    fail "--chips_per_host: got $chips_per_host, want a divisor of the \
slice's $chips chips"
  fi
  hosts=$((chips / chips_per_host))
}

manifest() { # MAIN [FLAG...]
  local out operator=NotIn code=143
  if [ "$error_restarts" -gt 0 ]; then
    operator=In code=2
  fi
  out=$(grep -v '^#' launch/gke_jobset.yaml)
  if [ -z "$spot" ]; then
    out=$(grep -v @SPOT@ <<< "$out")
  fi
  fill() { # PLACEHOLDER VALUE
    out=${out//@$1@/$2}
  }
  fill NAME "$(text "$name")"
  fill MAX_RESTARTS $((restarts + error_restarts))
  fill HOSTS "$hosts"
  fill OPERATOR "$operator"
  fill CODE "$code"
  fill GRACE_SECONDS "$grace_seconds"
  fill SERVICE_ACCOUNT "$(text "$service_account")"
  fill ACCELERATOR "$(text "$accelerator")"
  fill TOPOLOGY "$(text "$topology")"
  fill SPOT "$spot"
  fill IMAGE "$(text "$image")"
  fill CHIPS_PER_HOST "$chips_per_host"
  fill BUCKET "$(text "$bucket")"
  fill CLAIM "$(text "$claim")"
  # Last: an argument may hold anything, a placeholder's name too.
  fill ENVIRONMENT "$(variables "${environment[@]}")"
  fill COMMAND "$(list python -m "accfm.$1" "${@:2}")"
  printf '%s\n' "$out"
}

case $do in
  run)
    need image "$image" "container image with accfm"
    need accelerator "$accelerator" "such as tpu-v5-lite-podslice"
    need topology "$topology" "such as 16x16"
    need bucket "$bucket" "that holds the data, without gs://"
    need claim "$claim" "PersistentVolumeClaim for the workdirs"
    need service_account "$service_account" "that may read the bucket"
    for number in chips_per_host restarts error_restarts grace_seconds; do
      whole "$number" "${!number}"
    done
    known_main "${1:-}"
    count_hosts
    for value in "$name" "$image" "$accelerator" "$bucket" "$claim" \
      "$service_account" "${environment[@]}" "$@"; do
      case $value in
        *[[:cntrl:]]*) fail "$(quoted "$value"): got a control character" ;;
      esac
    done
    filled=$(manifest "$@")
    if [ -n "$dry_run" ]; then
      printf '%s\n' "$filled"
    fi
    act "${kubectl[@]}" create -f - <<< "$filled"
    ;;
  status)
    act "${kubectl[@]}" get jobset "$name"
    act "${kubectl[@]}" get pods -o wide \
      -l "jobset.sigs.k8s.io/jobset-name=$name"
    ;;
  tail)
    whole worker "$worker"
    whole lines "$lines"
    at=batch.kubernetes.io/job-completion-index=$worker
    act "${kubectl[@]}" logs -c main --tail="$lines" ${follow[@]+"${follow[@]}"} \
      -l "jobset.sigs.k8s.io/jobset-name=$name,$at"
    ;;
  delete) act "${kubectl[@]}" delete jobset "$name" ;;
esac
