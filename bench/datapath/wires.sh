# Two machines of two namespaces each, and the wire between them. Sourced by `run`.

in_ns() { # NAMESPACE COMMAND...
    local space=$id$1
    shift
    ip netns exec "$space" "$@"
}

# A line's address of END in the outer family.
line_address() { [ "$outer" = 6 ] && echo "2001:db8:101::$1" || echo "192.0.2.$1"; }

wire() {
    local end far address
    for space in under1 under2 fabric1 fabric2; do
        ip netns add "$id$space"
        in_ns $space ip link set lo up
    done
    ip -n "${id}under1" link add eth1 mtu 1500 type veth peer name eth1 mtu 1500 netns "${id}under2"
    for end in 1 2; do
        far=$((3 - end))
        ip -n "${id}under$end" link set eth1 address 02:00:00:00:01:0$end up
        ip -n "${id}under$end" address add 2001:db8:101::$end/64 dev eth1 nodad
        ip -n "${id}under$end" address add 192.0.2.$end/24 dev eth1
        for address in 2001:db8:101::$far 192.0.2.$far; do
            ip -n "${id}under$end" neighbour add $address lladdr 02:00:00:00:01:0$far dev eth1 nud permanent
        done
        no_offloads under$end
    done
}

# Leaves eth1 nothing but checksums: whatever cuts or joins packets is turned off, each feature by itself,
# since one that a kernel does not know makes `ethtool` refuse all that stand beside it.
no_offloads() { # NAMESPACE
    local feature left
    offloads() { in_ns "$1" ethtool -k eth1 | sed -nE 's/^\s*([a-z0-9_-]*(segmentation|gso|gro|receive-offload)[a-z0-9_-]*): on( \[requested.*)?$/\1/p'; }
    for feature in $(offloads "$1"); do in_ns "$1" ethtool -K eth1 "$feature" off >/dev/null 2>&1 || true; done
    left=$(offloads "$1")
    [ -z "$left" ] || fail "the wire keeps offloads that would spare it packets: ${left//$'\n'/ }"
}

# Fails if the wire takes a packet that is larger than its MTU while `COMMAND...` runs.
only_whole_packets() {
    local end large
    for end in 1 2; do
        in_ns under$end nft "table netdev bench { chain large {
            type filter hook ingress device eth1 priority -500; meta length > 1500 counter; }; }"
    done
    "$@"
    for end in 1 2; do
        large=$(in_ns under$end nft list table netdev bench | sed -n 's/.*counter packets \([0-9]*\).*/\1/p')
        [ "$large" = 0 ] || fail "$contender: $large packets larger than 1500 came over the wire"
        in_ns under$end nft delete table netdev bench
    done
}

unwire() {
    local pid mount space
    for pid in "${started[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    started=()
    for mount in "$scratch"/[12]/planes/*; do umount "$mount" 2>/dev/null || true; done
    for space in under1 under2 fabric1 fabric2; do ip netns del "$id$space" 2>/dev/null || true; done
}
