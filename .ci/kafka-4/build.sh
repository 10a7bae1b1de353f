#!/bin/sh
# Builds a stand-in for an image of Kafka 4, apache/kafka:VERSION, unless it is here and nothing has
# changed: that of 3.9.1 with the jars of VERSION.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
TOP=$here/../..
# shellcheck source-path=SCRIPTDIR source=../../app/cluster/common.sh disable=SC1091
. "$TOP/app/cluster/common.sh"
# shellcheck source-path=SCRIPTDIR source=../../app/cluster/jars.sh disable=SC1091
. "$TOP/app/cluster/jars.sh"

tag=$1
export KAFKA_VERSION="${tag#*:}"
of_image() { docker image inspect -f "$1" "$2"; }

find_jars
content=$({ cat "$here/Dockerfile" && ls "$LIBS" && of_image '{{.Id}}' apache/kafka:3.9.1; } | sha256sum | cut -c 1-16)
old=
if docker image inspect "$tag" >/dev/null 2>&1; then
    [ "$(of_image '{{index .Config.Labels "rowferry.stand-in"}}' "$tag")" = true ] || die "$tag is here already and is no stand-in: left alone"
    if [ "$(of_image '{{index .Config.Labels "rowferry.content"}}' "$tag")" = "$content" ]; then
        say "up to date: $tag"
        exit
    fi
    old=$(of_image '{{.Id}}' "$tag")
fi
# The builder inside the engine needs no plugin.
if ! said=$(DOCKER_BUILDKIT=0 docker build --label rowferry.stand-in=true --label "rowferry.content=$content" -t "$tag" \
    -f "$here/Dockerfile" "$LIBS" 2>&1); then
    printf '%s\n' "$said" | tail -n 5 >&2
    die "$tag could not be built"
fi
[ -z "$old" ] || docker image rm "$old" >/dev/null 2>&1 || true # stays while it runs
say "built: $tag"
