#!/bin/sh
# Bit identity between x86-64 and 64-bit ARM: builds hcddl for both, runs the same scenarios natively and under
# qemu-user, and compares the digests of all events and of the final weights. Not part of `cargo test`.
#
#   tests/aarch64.sh                                 the default list below
#   tests/aarch64.sh "SCENARIO [OPTIONS]"...         these arguments of `hcddl sim`
#
# Needs qemu-aarch64-static and aarch64-linux-gnu-gcc (Debian: qemu-user-static, gcc-aarch64-linux-gnu). The standard
# library for ARM is that of the toolchain if it has one (`rustup target add aarch64-unknown-linux-gnu`). If not, rustc
# and both standard libraries of Debian sid are unpacked below target/aarch64 (200 MB to fetch, nothing is installed)
# and that rustc is run with its own C library. Exit status: 0 equal or skipped, 1 different, 2 broken.
set -eu
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
dir=$PWD/target/aarch64
features="--release --no-default-features --features runtime"

skip() { echo "skipped: $1"; exit 0; }
for tool in qemu-aarch64-static aarch64-linux-gnu-gcc; do
    command -v $tool > /dev/null || skip "$tool is not installed"
done

# Packages of sid into $dir/root, through an apt whose whole state lies in $dir/apt.
debian() {
    for tool in apt-get dpkg-deb; do
        command -v $tool > /dev/null || skip "no standard library for $target, and no $tool to get Debian's"
    done
    apt=$dir/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$dir/new"
    : > "$apt/status"
    echo "deb http://deb.debian.org/debian sid main" > "$apt/sources.list"
    cat > "$apt/apt.conf" <<CONF
APT { Architecture "amd64"; Architectures { "amd64"; "arm64"; }; Install-Recommends "false"; };
APT::Sandbox::User "";
Dir { State "$apt"; State::status "$apt/status"; State::lists "$apt/lists"; Cache "$apt"; };
Dir::Etc { sourcelist "$apt/sources.list"; sourceparts "$apt/none"; parts "$apt/none"; preferencesparts "$apt/none"; };
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Debug::NoLocking "true";
CONF
    export APT_CONFIG="$apt/apt.conf"
    mkdir -p "$apt/none"
    {
        apt-get update && apt-get install -y --download-only libstd-rust-dev:amd64 libstd-rust-dev:arm64 &&
            (cd "$apt/archives" && apt-get download rustc:amd64)
    } > "$dir/apt.log" 2>&1 || skip "Debian's packages cannot be had, see target/aarch64/apt.log"
    for package in "$apt"/archives/*_amd64.deb "$apt"/archives/libstd-rust-dev_*_arm64.deb; do
        dpkg-deb -x "$package" "$dir/new"
    done
    rm -r "$apt"
    unset APT_CONFIG
    mv "$dir/new" "$dir/root"
}

# Names in `arm_rustc` a compiler that can build for ARM (and for this machine: build scripts run here).
find_rustc() {
    arm_rustc=rustc
    [ ! -d "$(rustc --print target-libdir --target $target)" ] || return 0
    [ "$(uname -m)" = x86_64 ] || skip "no standard library for $target"
    [ -d "$dir/root" ] || debian
    root=$dir/root/usr
    cat > "$dir/rustc" <<WRAPPER
#!/bin/sh
exec "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" "$root/bin/rustc" --sysroot "$root" "\$@"
WRAPPER
    chmod +x "$dir/rustc"
    arm_rustc=$dir/rustc
}

digests() { sed -n 's/^ *"\(trace\|weight\)_digest": *"\([0-9a-f]*\)".*/\1 \2/p' "$1"; }

find_rustc
# shellcheck disable=SC2086
cargo build $features || exit 2
# shellcheck disable=SC2086
env RUSTC="$arm_rustc" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_TARGET_DIR="$dir/build" \
    cargo build $features --target $target || exit 2
native=${CARGO_TARGET_DIR:-target}/release/hcddl
arm="qemu-aarch64-static -L /usr/aarch64-linux-gnu $dir/build/$target/release/hcddl"

if [ $# = 0 ]; then
    set -- scenarios/quickstart.yml scenarios/gossip.yml "scenarios/quickstart.yml --set model=softmax"
fi
status=0
for run in "$@"; do
    out=$(mktemp -d)
    # shellcheck disable=SC2086
    $native sim $run --quiet --json --out "$out/native" > "$out/native.json" || : # what it expects does not matter
    # shellcheck disable=SC2086
    $arm sim $run --quiet --json --out "$out/arm" > "$out/arm.json" || :
    expected=$(digests "$out/native.json")
    [ -n "$expected" ] || { echo "broken: $run"; exit 2; }
    if [ "$(digests "$out/arm.json")" = "$expected" ]; then
        echo "equal: $run:" $expected
    else
        echo "different: $run"
        echo "$expected" | sed 's/^/  x86-64  /'
        digests "$out/arm.json" | sed 's/^/  aarch64 /'
        status=1
    fi
    rm -r "$out"
done
exit $status
