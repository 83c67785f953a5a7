# Who moves packets between the two machines. Sourced by `run`.

# Why a contender cannot take part here; nothing if it can.
missing() { # CONTENDER
    local program
    case $1 in
        ours | ours-* | vxlan | veth) return ;;
        vxlan-locked)
            [ "$outer" = 4 ] || [ "$inner" -le 1430 ] || echo "the kernel cuts no VXLAN over IPv6"
            return
            ;;
        etherip) program=etheripd; [ "$outer" = 6 ] || { echo "has no outer IPv4"; return; } ;;
        boringtun) program=boringtun-cli ;;
        gotatun) program=gotatun-cli ;;
        wireguard-go) program=wireguard-go ;;
        *) fail "unknown contender: $1" ;;
    esac
    PATH=$tools/bin:$PATH command -v $program >/dev/null || echo "$program is not there"
}

# WireGuard's header is longer: what fits one packet is 1420.
inner_mtu() { # CONTENDER
    case $1 in
        ours-wireguard | boringtun | gotatun | wireguard-go) [ "$inner" = 1430 ] && echo 1420 || echo "$inner" ;;
        veth) [ "$inner" -gt 1500 ] && echo 1500 || echo "$inner" ;;
        *) echo "$inner" ;;
    esac
}

start() { # COMMAND...
    "$@" >"$scratch/log.${#started[@]}" 2>&1 &
    started+=($!)
}

ours() { # KIND [TUNNELS]: both ends by our own datapath
    local end state plane
    for end in 1 2; do
        state=$scratch/$end
        mkdir -p "$state/planes" "$state/keys"
        for plane in underlay:under fabric:fabric; do
            : >"$state/planes/${plane%%:*}"
            mount --bind "/run/netns/$id${plane##*:}$end" "$state/planes/${plane%%:*}"
        done
        "$planner" "$1" "$outer" 1500 "$mtu" "$clamp" $end "${2:-1}" >"$state/plan.json"
        if [ "$1" = wireguard ]; then
            cp "$scratch/private$end" "$state/keys/link.machine$end.bench"
            echo "{\"link.machine1.bench\":\"$(cat "$scratch/public1")\",\"link.machine2.bench\":\"$(cat "$scratch/public2")\"}" >"$state/keyring.json"
        fi
        start "$binary" datapath --state "$state"
    done
}

# Where nftables cannot keep the stack from tunnel packets, the engine takes raw sockets by itself.
ours_raw() {
    mkdir -p "$scratch/refusing"
    printf '#!/bin/sh\necho refused by the bench >&2\nexit 1\n' >"$scratch/refusing/nft"
    chmod +x "$scratch/refusing/nft"
    PATH=$scratch/refusing:$PATH ours etherip
}

keys() {
    local end
    for end in 1 2; do
        (umask 077; wg genkey >"$scratch/private$end")
        wg pubkey <"$scratch/private$end" >"$scratch/public$end"
    done
}

etherip() {
    local end
    for end in 1 2; do
        cat >"$scratch/etherip$end.toml" <<END
log_level = "Error"
[links.bench0]
remote = "$(line_address $((3 - end)))"
ip_version = "V$outer"
END
        start ip netns exec "${id}under$end" "$tools/bin/etheripd" -c "$scratch/etherip$end.toml"
    done
}

# Somebody else's WireGuard: it makes its device where it runs and is told by its socket.
wireguard_by() { # COMMAND...
    local end address
    keys
    for end in 1 2; do start ip netns exec "${id}under$end" env PATH="$tools/bin:$PATH" WG_PROCESS_FOREGROUND=1 "$@" "$id$end"; done
    for end in 1 2; do
        address=$(line_address $((3 - end)))
        [ "$outer" = 4 ] || address="[$address]"
        eventually "$1 has made no socket" test -S "/var/run/wireguard/$id$end.sock"
        wg set "$id$end" private-key "$scratch/private$end" listen-port 20000 \
            peer "$(cat "$scratch/public$((3 - end))")" endpoint "$address:20000" allowed-ips ::/0
    done
}

vxlan() {
    local end
    for end in 1 2; do
        # Without a device below it, which would not let its MTU be larger than its own.
        ip -n "${id}under$end" link add bench0 type vxlan id 7 \
            local "$(line_address $end)" remote "$(line_address $((3 - end)))" dstport 4789
    done
}

# The contender's device of END, and the namespace that it is in.
device() {
    case $contender in
        veth) echo eth1 ;;
        boringtun | gotatun | wireguard-go) echo "$id$1" ;;
        *) echo bench0 ;;
    esac
}
space() {
    case $contender in ours | ours-*) echo "fabric$1" ;; *) echo "under$1" ;; esac
}

# The address of END inside. A locked MTU holds in IPv4 alone: in IPv6 the kernel learns the path's all the same.
host() {
    case $contender in vxlan-locked) echo "198.18.7.$1" ;; *) echo "fd63:7::$1" ;; esac
}

# The contender from one end to the other, addressed and answering.
set_up() { # CONTENDER
    contender=$1 mtu=$(inner_mtu "$1")
    wire
    case $contender in
        ours) ours etherip ;;
        ours-auto) ours etherip-auto ;;
        ours-raw) ours_raw ;;
        ours-recut) clamp=recut ours etherip ;;
        ours-gre) ours gre ;;
        ours-wireguard) keys; ours wireguard ;;
        etherip) etherip ;;
        boringtun) wireguard_by boringtun-cli --disable-drop-privileges --foreground ;;
        gotatun) wireguard_by gotatun-cli --disable-drop-privileges --foreground ;;
        wireguard-go) wireguard_by wireguard-go --foreground ;;
        vxlan | vxlan-locked) vxlan ;;
        veth) ;;
    esac
    local end name there
    for end in 1 2; do
        name=$(device $end) there=$id$(space $end)
        eventually "$contender has made no device" ip -n "$there" link show "$name"
        ip -n "$there" link set "$name" mtu "$mtu" up
        # Without a route of the kernel's own, which would be preferred to one with a locked MTU.
        if [ "$contender" = vxlan-locked ]; then
            ip -n "$there" address add "$(host $end)/24" dev "$name" noprefixroute
            ip -n "$there" route add 198.18.7.0/24 dev "$name" mtu lock "$mtu"
            ip -n "$there" route add "$(line_address $((3 - end)))" dev eth1 mtu lock 1500
        else
            ip -n "$there" address add "$(host $end)/64" dev "$name" nodad
        fi
    done
    eventually "$contender does not answer" in_ns "$(space 1)" ping -n -q -c 1 -W 1 "$(host 2)"
    if [ "$contender" = ours-raw ]; then eventually "ours-raw does not go by raw sockets" goes_by raw; fi
    if [ "$contender" = ours-auto ]; then eventually "ours-auto does not take the shortcut" is_open; fi
    if [ "$contender" = ours ]; then eventually "ours does not go past the stack" goes_by packet; fi
    only_whole_packets burst
    if [ "$contender" = vxlan-locked ]; then
        [ "$(json streams pmtu)" = "$mtu" ] || fail "vxlan-locked sends no packets of $mtu bytes"
    fi
}

goes_by() { # packet|raw: what our own engine says of its line
    { "$binary" status --state "$scratch/1" --json || true; } 2>/dev/null | grep -qE "\"path\": ?\"$1\""
}

is_open() { # by what our own engine says of its tunnel
    { "$binary" status --state "$scratch/1" --json || true; } 2>/dev/null | grep -qE '"shortcut": ?"open"'
}
