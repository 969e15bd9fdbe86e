#!/bin/sh
# Stands in for `hcddl node RUN_DIR NAME`: says where it stands, and ends after $2/rounds (6) short rounds.
dir="$2/nodes/$3"
rounds=$(cat "$(dirname "$0")/rounds" 2>/dev/null || echo 6)
mkdir -p "$dir"
echo "$3 begins" >&2
trap 'echo "$3 was told to stop" >&2; exit 0' TERM
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    printf '{"state": "running", "now": 1, "birth": 0, "commits": %s, "bytes_sent": 10, "bytes_received": 10, "lost": []}' \
        $round >"$dir/.part"
    mv "$dir/.part" "$dir/progress.json"
    sleep 0.2 &
    wait $!
done
echo "$3 ends" >&2
