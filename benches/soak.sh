#!/usr/bin/env bash
# Mixed traffic with faults, for an hour or as long as given, in namespaces of its own: benches/soak.sh [SECONDS]
#
# The engine is built with its assertions and overflow checks on. Needs root and python3. Leaves target/soak.csv (what was measured) and docs/soak.png (the same, drawn).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-3600}
table=$PWD/target/soak.csv
UNTOLD_SOAK_SECONDS=$seconds UNTOLD_SOAK_TABLE=$table timeout $((seconds + 900)) \
    cargo test --test live -- --exact \
    soak::r14_mixed_traffic_over_bad_links_reaches_a_plateau_and_gives_everything_back
python3 benches/soak.py "$table" docs/soak.png
