#!/usr/bin/env bash
# Installs what some tests need beside Python, where it is missing: versitygw, an S3 server whose buckets can keep versions, Chromium,
# which the report is read with, and Prometheus. Debian or Ubuntu; Go is fetched where there is none.
set -eu
bin=${FRUITPIPE_CACHE:-$HOME/.cache/fruitpipe}/bin
as_root=''
[ "$(id -u)" = 0 ] || as_root=sudo

installed() { for name in "$@"; do command -v "$name" >/dev/null && return; done; false; }
apt() { $as_root apt-get update -qq && $as_root apt-get install -qq --yes "$@"; }

installed chromium chromium-browser google-chrome || apt chromium
if ! PATH="$PATH:$bin:$(go env GOPATH 2>/dev/null)/bin" installed versitygw; then
  installed go || apt golang-go
  GOBIN=$bin go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
fi
if ! PATH="$PATH:$bin" installed prometheus; then  # the program alone: as a package it would start a service
  work=$(mktemp -d) && trap 'rm -r "$work"' EXIT && mkdir -p "$bin"
  $as_root apt-get update -qq
  (cd "$work" && apt-get download -qq prometheus && dpkg-deb --extract prometheus_*.deb . && install usr/bin/prometheus "$bin") ||
    echo "prometheus: apt does not give it here; the test that asks a real one is skipped"
fi
