#!/usr/bin/env bash
# Several hosts on one machine: a network namespace each, on one switch, with a home directory and an sshd of its own.
# Needs root, openssh-server, iproute2 and nftables.
#
#   up [N]              make N hosts h1..hN (3) and the controller's namespace
#   down                remove everything that `up` made
#   ctl CMD..           run CMD where the controller is
#   exec hK CMD..       run CMD on host hK, as root, without SSH
#   isolate hK          pull hK's cable              heal           put all cables back, join all partitions
#   partition hA hB     drop what A and B send each other
#   crash hK            kill every process of hK, as a power cut does      boot hK    start it again
#   rate hK 50mbit|off  limit what hK sends and receives
#   delay hK MS [MBIT [LOSS_PERCENT]] | delay hK off     delay, rate and loss in both directions (delay.rs)
#
# LAB_DIR: where its files are; LAB_PREFIX: of the names of its namespaces; LAB_NET: its network, three numbers.
set -euo pipefail

dir=${LAB_DIR:-/tmp/hcddl-lab}
prefix=${LAB_PREFIX:-hl}
net=${LAB_NET:-10.77.0}
user=pi
uid=4000
here=$(cd "$(dirname "$0")" && pwd)
switch=$prefix-switch
controller=$prefix-ctl

fail() { echo "lab: $*" >&2; exit 1; }
namespace() { echo "$prefix-$1"; }
address() { if [ "$1" = ctl ]; then echo "$net.254"; else echo "$net.$((${1#h} + 10))"; fi; }
# The same after a new cable, so that nobody's ARP cache is wrong.
mac() { local ip; ip=$(address "$1"); printf '02:77:00:00:00:%02x' "${ip##*.}"; }
exists() { ip netns list | awk '{print $1}' | grep -qx "$1"; }
count() { cat "$dir/count"; }
filter() { ip netns exec "$switch" nft "$@"; }
init_of() { cat "$dir/hosts/$1/init.pid" 2>/dev/null || true; }
# A number may have been given to another process since.
alive() { local pid; pid=$(init_of "$1"); [ -n "$pid" ] && grep -qa "$dir/hosts/$1/init.sh" "/proc/$pid/cmdline" 2>/dev/null; }

# A cable from a namespace to the switch.
cable() {
    local ns=$1 name=$2
    ip -n "$switch" link show "p-$name" >/dev/null 2>&1 && return
    ip link add "p-$name" netns "$switch" type veth peer name eth0 address "$(mac "$name")" netns "$ns"
    ip -n "$switch" link set "p-$name" master br0 up
    ip -n "$ns" addr add "$(address "$name")/24" dev eth0
    ip -n "$ns" link set eth0 up
    ip -n "$ns" link set lo up
}

# What the first process of a host does: mounts of its own, then sshd.
write_init() {
    local name=$1 root=$dir/hosts/$1
    mkdir -p "$root/home/.ssh" "$root/etc" "$root/ssh"
    [ -f "$root/ssh/hostkey" ] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$root/ssh/hostkey"
    cp "$dir/key.pub" "$root/home/.ssh/authorized_keys"
    chmod 700 "$root/home/.ssh"
    chmod 600 "$root/home/.ssh/authorized_keys"
    chown -R "$uid:$uid" "$root/home"
    { cat /etc/passwd; echo "$user:x:$uid:$uid::/home/$user:/bin/bash"; } >"$root/etc/passwd"
    { cat /etc/group; echo "$user:x:$uid:"; } >"$root/etc/group"
    { cat /etc/shadow; echo "$user:*:20000:0:99999:7:::"; } >"$root/etc/shadow"
    chmod 600 "$root/etc/shadow"
    cat >"$root/sshd_config" <<END
ListenAddress $(address "$name")
HostKey /run/ssh/hostkey
PidFile /run/sshd.pid
PasswordAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100:30:200
MaxSessions 64
END
    cat >"$root/init.sh" <<END
#!/bin/bash
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/ssh
cp $root/ssh/hostkey /run/ssh/ && chmod 600 /run/ssh/hostkey
for file in passwd group shadow; do mount --bind $root/etc/\$file /etc/\$file; done
mount -t tmpfs -o mode=755 tmpfs /home
mkdir /home/$user
mount --bind $root/home /home/$user
hostname $name
cd /
trap 'exit 0' TERM
/usr/sbin/sshd -D -e -f $root/sshd_config >>$root/sshd.log 2>&1 &
while :; do wait; sleep 3600 & wait \$!; done
END
    chmod +x "$root/init.sh"
}

boot() {
    local name=$1 root=$dir/hosts/$1 outer pid=
    alive "$name" && return
    write_init "$name"
    setsid ip netns exec "$(namespace "$name")" \
        unshare --mount --pid --uts --ipc --fork --mount-proc --kill-child /bin/bash "$root/init.sh" \
        </dev/null >>"$root/init.log" 2>&1 &
    outer=$!
    # Its last child is the first process of the host; unshare has another one for a moment before.
    for _ in $(seq 200); do
        for pid in $(cat "/proc/$outer/task/$outer/children" 2>/dev/null || true) ''; do
            [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q '^/bin/bash' && break 2
        done
        sleep 0.05
    done
    [ -n "$pid" ] || fail "$name did not start; see $root/init.log"
    echo "$pid" >"$root/init.pid"
}

crash() {
    alive "$1" && kill -9 "$(init_of "$1")" 2>/dev/null || true
    for _ in $(seq 100); do alive "$1" || break; sleep 0.05; done
    rm -f "$dir/hosts/$1/init.pid"
}

wait_for_ssh() {
    for _ in $(seq 200); do
        ip netns exec "$controller" bash -c "exec 3<>/dev/tcp/$(address "$1")/22" 2>/dev/null && return
        sleep 0.05
    done
    fail "$1 does not answer; see $dir/hosts/$1/sshd.log"
}

write_inventory() {
    : >"$dir/known_hosts"
    {
        echo "[pool]"
        for i in $(seq 1 "$1"); do
            echo "h$i ansible_host=$(address "h$i")"
            echo "$(address "h$i") $(cut -d' ' -f1,2 "$dir/hosts/h$i/ssh/hostkey.pub")" >>"$dir/known_hosts"
        done
        echo "[pool:vars]"
        echo "ansible_user=$user"
        echo "ansible_ssh_private_key_file=$dir/key"
        echo "ansible_ssh_common_args=-o UserKnownHostsFile=$dir/known_hosts -o IdentitiesOnly=yes"
    } >"$dir/inventory.ini"
}

up() {
    local hosts=${1:-3} i
    mkdir -p "$dir/hosts"
    echo "$hosts" >"$dir/count"
    [ -f "$dir/key" ] || ssh-keygen -q -t ed25519 -N '' -C lab -f "$dir/key"
    if ! exists "$switch"; then
        ip netns add "$switch"
        ip -n "$switch" link add br0 type bridge
        ip -n "$switch" link set br0 up
        filter -f - <<END
table bridge lab {
    set cut { type ether_addr . ether_addr; }
    chain forward { type filter hook forward priority 0; policy accept; ether saddr . ether daddr @cut drop; }
}
END
    fi
    exists "$controller" || ip netns add "$controller"
    cable "$controller" ctl
    for i in $(seq 1 "$hosts"); do
        exists "$(namespace "h$i")" || ip netns add "$(namespace "h$i")"
        cable "$(namespace "h$i")" "h$i"
        boot "h$i"
    done
    write_inventory "$hosts"
    for i in $(seq 1 "$hosts"); do wait_for_ssh "h$i"; done
}

down() {
    local name ns
    for name in $(ls "$dir/hosts" 2>/dev/null || true); do
        undelay "$name" 2>/dev/null || true
        crash "$name"
    done
    for ns in $(ip netns list | awk '{print $1}' | grep -E "^$prefix-(switch|ctl|h[0-9]+)$" || true); do
        ip netns del "$ns"
    done
    rm -rf "$dir"
}

partition() { filter add element bridge lab cut "{ $(mac "$1") . $(mac "$2"), $(mac "$2") . $(mac "$1") }"; }

heal() {
    local i
    filter flush set bridge lab cut
    for i in $(seq 1 "$(count)"); do ip -n "$switch" link set "p-h$i" up; done
}

rate() {
    local ns device
    for end in "$(namespace "$1") eth0" "$switch p-$1"; do
        read -r ns device <<<"$end"
        if [ "$2" = off ]; then
            ip netns exec "$ns" tc qdisc del dev "$device" root 2>/dev/null || true
        else
            ip netns exec "$ns" tc qdisc replace dev "$device" root tbf rate "$2" burst 32kb latency 300ms
        fi
    done
}

undelay() {
    local shim=$dir/hosts/$1/delay.pid
    [ -f "$shim" ] || return 0
    kill "$(cat "$shim")" 2>/dev/null || true
    rm -f "$shim"
    sleep 0.2
    cable "$(namespace "$1")" "$1"
}

# In place of the cable, a program that carries frames between the host and the switch.
delay() {
    local name=$1 ns
    ns=$(namespace "$name")
    undelay "$name"
    [ "$2" = off ] && return
    [ -x "$dir/delay" ] || rustc --edition 2024 -O -o "$dir/delay" "$here/delay.rs"
    ip -n "$switch" link del "p-$name"
    "$dir/delay" "/run/netns/$ns" eth0 "/run/netns/$switch" "p-$name" "$2" "${3:-0}" "${4:-0}" \
        </dev/null >>"$dir/hosts/$name/delay.log" 2>&1 &
    echo $! >"$dir/hosts/$name/delay.pid"
    for _ in $(seq 100); do
        ip -n "$switch" link show "p-$name" >/dev/null 2>&1 && ip -n "$ns" link show eth0 >/dev/null 2>&1 && break
        sleep 0.02
    done
    ip -n "$switch" link set "p-$name" master br0 up
    ip -n "$ns" link set eth0 address "$(mac "$name")"
    ip -n "$ns" addr add "$(address "$name")/24" dev eth0
    ip -n "$ns" link set eth0 up
}

command=${1:-help}
shift || true
case $command in
    up | down | partition | heal | rate | delay | crash) "$command" "$@" ;;
    ctl) exec ip netns exec "$controller" "$@" ;;
    exec) name=$1; shift; exec nsenter -t "$(init_of "$name")" -a "$@" ;;
    isolate) ip -n "$switch" link set "p-$1" down ;;
    boot) boot "$1"; wait_for_ssh "$1" ;;
    *) sed -n '2,17p' "$0" ;;
esac
