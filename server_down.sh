#!/bin/sh
# Stops the cluster that server_up.sh started.
set -u
TOP=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=app/cluster/common.sh disable=SC1091
. "$TOP/app/cluster/common.sh"
# shellcheck source-path=SCRIPTDIR source=app/cluster/native.sh disable=SC1091
. "$TOP/app/cluster/native.sh"
# shellcheck source-path=SCRIPTDIR source=app/cluster/docker.sh disable=SC1091
. "$TOP/app/cluster/docker.sh"

usage() {
    cat <<'END'
sh server_down.sh [--native | --docker] [-v]

Stops what server_up.sh started, natively, through Docker, or both if both run. Its data stays. Safe to call again.

  --docker        only the containers
  --native        only the native cluster
  -v, --volumes   remove the data too: topics, messages, offsets
  --help          this text

Environment: ROWFERRY_CLUSTER_DIR, the folder of the native cluster (data/cluster).
END
}

way='' data=''
while [ $# -gt 0 ]; do
    case $1 in
    --native | --docker)
        [ -z "$way" ] || [ "$way" = "${1#--}" ] || misused "--native and --docker exclude each other"
        way=${1#--} ;;
    -v | --volumes) data=data ;;
    -h | --help) usage && exit ;;
    *) misused "unknown option $1" ;;
    esac
    shift
done

STOPPED=
[ "$way" = docker ] || native_down $data
if [ "$way" != native ]; then
    state=$(docker_state)
    # Docker that cannot be used matters only when it was asked for, or when there was nothing else to stop.
    case $way$STOPPED$state in
    *ready) docker_down $data ;;
    absent | yes*) ;;
    *) need_docker "$state" ;;
    esac
fi
[ -n "$STOPPED" ] || say "nothing of ours runs here"
