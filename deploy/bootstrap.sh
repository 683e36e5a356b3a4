#!/bin/bash
# EMR runs this on each node before anything else: bootstrap.sh s3://BUCKET/FOLDER HOME: from where make deploy put the packages.
set -eu
work=$(mktemp -d)
aws s3 cp --quiet "$1/node-$(uname -m).tar.gz" "$work/node.tar.gz"
tar -xzf "$work/node.tar.gz" -C "$work"
sudo bash "$work/install.sh" "$2"
rm -rf "$work"
