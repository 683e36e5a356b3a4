#!/usr/bin/env bash
# The whole way on pictures that it draws itself: ingest, add some, ingest only those, refit. Usage: demo.sh FOLDER
set -eu
folder=$1
bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
step() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; "$@"; }

if [ -e "$folder" ] && [ ! -e "$folder/.demo" ]; then
  echo "error: $folder is there and was not made by this demo; give another folder: make demo DEMO=FOLDER" >&2
  exit 1
fi
rm -rf "$folder"
mkdir -p "$folder"
touch "$folder/.demo"
step fruitpipe sample "$folder/images" --labels 12 --images-per-label 20
step fruitpipe ingest --images "$folder/images" --root "$folder/root" --once
step fruitpipe sample "$folder/images" --labels 12 --images-per-label 22
step fruitpipe ingest --images "$folder/images" --root "$folder/root" --once
step fruitpipe refit --root "$folder/root"
printf '\nThe features: %s/root/features (Delta). The reduced features: %s/root/reduced (Parquet).\n' "$folder" "$folder"
