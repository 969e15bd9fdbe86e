#!/usr/bin/env bash
# A server and N workers as network namespaces on one switch; every cable has the same rate and delay both ways.
# Needs root and iproute2.
#   lab.sh up PREFIX N MBIT DELAY_MS     DELAY_MS: one way of each cable; 0: the kernel's tbf, else tests/lab/delay.rs
#   lab.sh down PREFIX
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
prefix=$2

down() {
    local ns
    pkill -f "delay /run/netns/$prefix-" 2>/dev/null || true
    for ns in $(ip netns list | awk '{print $1}' | grep "^$prefix-" || true); do ip netns del "$ns"; done
}

host() {
    local name=$1 address=$2 mbit=$3 delay=$4
    ip netns add "$prefix-$name"
    if [ "$delay" = 0 ]; then
        ip link add "v-$name" netns "$prefix-x" type veth peer name eth0 netns "$prefix-$name"
        ip netns exec "$prefix-$name" tc qdisc add dev eth0 root tbf rate "${mbit}mbit" burst 8kb latency 300ms
        ip netns exec "$prefix-x" tc qdisc add dev "v-$name" root tbf rate "${mbit}mbit" burst 8kb latency 300ms
    else
        chrt -f 40 "$FIDELITY_DIR/delay" "/run/netns/$prefix-$name" eth0 "/run/netns/$prefix-x" "v-$name" "$delay" "$mbit" 0 \
            </dev/null >/dev/null 2>&1 &
        for _ in $(seq 100); do
            ip -n "$prefix-x" link show "v-$name" >/dev/null 2>&1 &&
                ip -n "$prefix-$name" link show eth0 >/dev/null 2>&1 && break
            sleep 0.02
        done
    fi
    ip -n "$prefix-x" link set "v-$name" master br0 up
    ip -n "$prefix-$name" addr add "$address/24" dev eth0
    ip -n "$prefix-$name" link set eth0 up
    ip -n "$prefix-$name" link set lo up
}

case $1 in
    up)
        down
        ip netns add "$prefix-x"
        ip -n "$prefix-x" link add br0 type bridge
        ip -n "$prefix-x" link set br0 up
        host s 10.9.0.1 "$4" "$5"
        for i in $(seq 0 $(($3 - 1))); do host "w$i" "10.9.0.$((i + 10))" "$4" "$5"; done
        ;;
    down) down ;;
    *) sed -n '2,5p' "$0" ;;
esac
