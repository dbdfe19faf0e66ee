#!/bin/sh
# Fuzzes each target for a while and keeps the best of what was found in corpus/: of the fewest files that reach
# all that was reached, the 48 largest. Run it in this directory: ./corpora.sh [seconds] [target…]
set -eu
seconds=${1:-120}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- key command tree_model image log_recovery snapshot frame handshake message joining http_request
for target; do
    found=$(mktemp -d) fewest=$(mktemp -d)
    mkdir -p "corpus/$target"
    cargo +nightly fuzz run "$target" "$found" "corpus/$target" -- -max_total_time="$seconds" -max_len=800
    cargo +nightly fuzz run "$target" "$fewest" "$found" "corpus/$target" -- -set_cover_merge=1
    rm -f "corpus/$target"/*
    (cd "$fewest" && ls -S | head -n 48) | while read -r file; do cp "$fewest/$file" "corpus/$target/"; done
    rm -rf "$found" "$fewest"
done
