#!/usr/bin/env bash
# A main on every host of a Cloud TPU slice (one slice, TPU VMs). Needs gcloud
# and rights in the project; makes nothing that it is not told to make.
#
#   bash launch/tpu_vm.sh create  SLICE --accelerator_type=T --runtime_version=V
#   bash launch/tpu_vm.sh install SLICE      committed files, .venv, on all hosts
#   bash launch/tpu_vm.sh each    SLICE COMMAND           a shell command on all
#   bash launch/tpu_vm.sh run     SLICE MAIN [the main's flags]
#   bash launch/tpu_vm.sh status | tail | stop | delete SLICE
#
# SLICE is --project=P --zone=Z --name=N, or ACCFM_PROJECT, ACCFM_ZONE and
# ACCFM_TPU in the environment: none has a default. Flags stand before MAIN:
#
#   --accelerator_type=T  create: such as v5litepod-256
#   --runtime_version=V   create: such as v2-alpha-tpuv5-lite
#   --spot                create: cheaper, may be taken away at any time
#   --restarts=20         run: on each host, how often after code 143
#                         (preempted and saved), at most
#   --error_restarts=0    run: how often after other errors; never after 2,
#                         bad input
#   --env=NAME=VALUE      run: into the main's environment; may be repeated
#   --worker=0            tail: which host; `all` without --follow
#   --lines=20            tail: how many
#   --follow              tail: goes on
#   --yes                 delete: without asking
#   --gcloud_flag=F       handed to gcloud as it is; may be repeated:
#                         --gcloud_flag=--reserved, --gcloud_flag=--internal-ip
#   --track=alpha         gcloud alpha (or beta), which knows --gcloud_flag=
#                         --tunnel-through-iap
#   --dry_run             prints the commands and runs none
#
# `run` returns at once and leaves alone a host whose run is alive; run again,
# it starts it where it is not, and the run resumes. `stop` lets it save. A
# host's log is ~/accfm.run/log.txt. `create` asks for a queued resource, whose
# slice has the same name; `delete` takes away both.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/flags.sh

do=${1:-}
case $do in
  create | install | each | run | status | tail | stop | delete) shift ;;
  --help) usage; exit 0 ;;
  *) fail "got '$do', want create, install, each, run, status, tail, stop or \
delete; see --help" ;;
esac

project=${ACCFM_PROJECT:-} zone=${ACCFM_ZONE:-} name=${ACCFM_TPU:-}
accelerator_type='' runtime_version='' restarts=20 error_restarts=0
worker=0 lines=20 follow='' track=''
environment=() extra=() create=() sure=()
while [ $# -gt 0 ]; do
  case $1 in
    --help) usage; exit 0 ;;
    --project=*) project=${1#*=} ;;
    --zone=*) zone=${1#*=} ;;
    --name=*) name=${1#*=} ;;
    --accelerator_type=*) accelerator_type=${1#*=} ;;
    --runtime_version=*) runtime_version=${1#*=} ;;
    --spot) create+=(--spot) ;;
    --restarts=*) restarts=${1#*=} ;;
    --error_restarts=*) error_restarts=${1#*=} ;;
    --env=*=*) environment+=("${1#*=}") ;;
    --worker=*) worker=${1#*=} ;;
    --lines=*) lines=${1#*=} ;;
    --follow) follow=-f ;;
    --yes) sure=(--quiet) ;;
    --gcloud_flag=*) extra+=("${1#*=}") ;;
    --track=*) track=${1#*=} ;;
    --dry_run) dry_run=1 ;;
    -*) unknown "$1" ;;
    *) break ;;
  esac
  shift
done
need project "$project" "Google Cloud project, or ACCFM_PROJECT"
need zone "$zone" "zone, or ACCFM_ZONE"
need name "$name" "of the slice, or ACCFM_TPU"
whole restarts "$restarts"
whole error_restarts "$error_restarts"
whole lines "$lines"
case $do in
  each | run) ;;
  *) [ $# = 0 ] || unknown "$1" ;;
esac

tpus() { # WORD... [FLAG...]: gcloud on this project and zone
  act gcloud ${track:+"$track"} compute tpus "$@" --project="$project" \
    --zone="$zone" ${extra[@]+"${extra[@]}"}
}

on() { # WORKER COMMAND
  tpus tpu-vm ssh "$name" --worker="$1" --command="$2"
}

here='[ -d accfm ] || { echo "error: run install first" >&2; exit 2; }; '

case $do in
  create)
    need accelerator_type "$accelerator_type" "such as v5litepod-256"
    need runtime_version "$runtime_version" "such as v2-alpha-tpuv5-lite"
    tpus queued-resources create "$name" --node-id="$name" \
      --accelerator-type="$accelerator_type" \
      --runtime-version="$runtime_version" ${create[@]+"${create[@]}"}
    ;;
  install)
    changed=$(git status --porcelain)
    [ -z "$changed" ] ||
      echo "note: only what is committed is copied" >&2
    folder=accfm_archive
    if [ -z "$dry_run" ]; then
      folder=$(mktemp -d)
      trap 'rm -rf "$folder"' EXIT
    fi
    act git archive --format=tar.gz --output="$folder/accfm.tar.gz" HEAD
    tpus tpu-vm scp "$folder/accfm.tar.gz" "$name:accfm.tar.gz" --worker=all
    on all "rm -rf accfm.new && mkdir accfm.new && tar -xzf accfm.tar.gz \
-C accfm.new && bash accfm.new/launch/worker.sh install"
    ;;
  each)
    [ $# = 1 ] || fail "got $# commands, want one, in quotes"
    on all "$1"
    ;;
  run)
    known_main "${1:-}"
    on all "$here$(quoted env ACCFM_DISTRIBUTED=auto \
      ${environment[@]+"${environment[@]}"} \
      bash accfm/launch/worker.sh start "$restarts" "$error_restarts" "$@")"
    ;;
  status)
    tpus queued-resources describe "$name" --format="value(state.state)"
    on all "${here}bash accfm/launch/worker.sh status"
    ;;
  tail) on "$worker" "${here}bash accfm/launch/worker.sh tail $lines $follow" ;;
  stop) on all "${here}bash accfm/launch/worker.sh stop" ;;
  delete)
    tpus queued-resources delete "$name" --force ${sure[@]+"${sure[@]}"}
    ;;
esac
