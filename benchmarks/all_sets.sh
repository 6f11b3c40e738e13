#!/usr/bin/env bash
# The benchmark over every labelled set of a folder of data, and its report: benchmarks/all_sets.sh ../shared/data OUT [bench options]
# Run it again after an interruption: finished objects are kept. --limit N draws N objects of each set, with seed 0.
set -euo pipefail
data=$1
out=$2
shift 2
models=(--model default --model grabcut)
options=(--seed 0 "$@")
mkdir -p "$out"
for set in isprs_crops dronedeploy_chips dubai_mbrsc inria_austin nwpu_vhr10/instances_train.json fair_oam; do
  [ -e "$data/$set" ] || continue
  name=${set%%/*}
  [ -s "$out/$name.json" ] && continue
  echo "== $name" >&2
  rsiseg bench --data "$data/$set" "${models[@]}" "${options[@]}" --json "$out/$name.json" --resume
done
rsiseg bench report "$out"/*.json --out "$out/report"
