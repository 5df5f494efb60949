#!/usr/bin/env bash
# Gathers what a package has besides the binary and the files of this repository: completions and the schema, both
# told by the binary itself.
#
# usage: packaging/stage.sh BINARY FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."

binary=$1
folder=$2
mkdir -p "$folder"
"$binary" completions bash > "$folder/facron.bash"
"$binary" completions zsh > "$folder/_facron"
"$binary" completions fish > "$folder/facron.fish"
"$binary" schema > "$folder/facron.schema.json"
cp config/facron.status.schema.json "$folder/"
