#!/bin/sh
# Fuzzes what reads bytes of others: fuzz/run.sh TARGET SECONDS, or `all` for one target after another.
#
# What it finds is left in fuzz/artifacts/TARGET and makes it fail; what is new goes to fuzz/target/found/TARGET, and
# what of it is worth keeping into fuzz/corpus/TARGET, which tests/corpora.rs replays. Needs a C++ compiler and a
# nightly toolchain (TOOLCHAIN= names another; without nightly, RUSTC_BOOTSTRAP=1 and SANITIZER= do).
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 TARGET|all SECONDS" >&2
    exit 2
fi
cd "$(dirname "$0")"
toolchain=${TOOLCHAIN-nightly}
sanitizer=${SANITIZER-address}
host=$(rustc -vV | sed -n 's/^host: //p')

# Coverage as libFuzzer reads it. With a target named, build scripts and macros are left as they are.
flags="-Cpasses=sancov-module -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks --cfg fuzzing"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags="$flags -Cllvm-args=-sanitizer-coverage-$option"
done
[ -z "$sanitizer" ] || flags="$flags -Zsanitizer=$sanitizer"
RUSTFLAGS=$flags cargo ${toolchain:++"$toolchain"} build --quiet --release --bins --target "$host"

case $1 in
all) targets=$(ls corpus) ;;
*) targets=$1 ;;
esac
for target in $targets; do
    mkdir -p "target/found/$target" "artifacts/$target"
    "target/$host/release/$target" -max_total_time="$2" -rss_limit_mb=1024 -timeout=10 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "target/found/$target" "corpus/$target"
    rmdir "artifacts/$target" 2>/dev/null || true
done
rmdir artifacts 2>/dev/null || true
