# How each contender is started: `start_NAME FEEDERS WHOLE_NAME` leaves its processes in `started`, those whose
# memory counts in `watched`, and in `space` the namespace whose routes are counted.

lacking() { # CONTENDER: prints the program that is missing; false if it is there
    local program
    case ${1%-kernel} in
        ours) program=$binary ;;
        bird) program=/usr/sbin/bird ;;
        frr) program=/usr/lib/frr/bgpd ;;
        openbgpd) program=/usr/sbin/bgpd ;;
        gobgp) program=/usr/bin/gobgpd ;;
    esac
    if [ -x "$program" ]; then return 1; fi
    echo "$program"
}

spawn() { # NAME COMMAND...: in the router's namespace, its output in a log. Not by `ip netns exec`, whose mounts are its own: planes are mounts
    local log="$scratch/$1.log"
    shift
    nsenter --net="/run/netns/$id-router" "$@" >>"$log" 2>&1 &
    started+=($!)
}

peers() { # FEEDERS: lines `NAME AS LAST_BYTE LAST_BYTE_IN_HEX`, the sink and the idle neighbour included
    local at
    for at in $(seq 0 $(($1 - 1))); do echo "feeder$at $((20000 + at)) $((10 + at)) $(printf %x $((10 + at)))"; done
    echo "sink 20100 110 6e"
    echo "idle 20101 111 6f"
}

start_ours() {
    local state="$scratch/ours"
    rm -rf "$state"
    mkdir -p "$state"
    "$loader" plan "$1" >"$state/plan.json"
    spawn ours "$binary" router --state "$state"
    watched=("${started[-1]}") mounted=$state
    local tries=0
    until [ -e "$state/planes/fabric" ] && nsenter --net="$state/planes/fabric" ip -o link show eth1 2>/dev/null | grep -q UP; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ]; then cat "$scratch/ours.log" >&2; exit 1; fi
        sleep 0.1
    done
    space=$state/planes/fabric
}

start_bird() {
    local file="$scratch/bird.conf" name asn last hex export
    address_router
    {
        echo 'log stderr all; router id 203.0.113.1; protocol device { scan time 10; }'
        if [ "$2" = bird-kernel ]; then
            echo 'protocol kernel k4 { ipv4 { import none; export where source = RTS_BGP; }; }'
            echo 'protocol kernel k6 { ipv6 { import none; export where source = RTS_BGP; }; }'
        fi
        while read -r name asn last hex; do
            export=none
            if [ "$name" = sink ]; then export=all; fi
            echo "protocol bgp ${name}v4 { local 203.0.113.1 as 63806; neighbor 203.0.113.$last as $asn; passive; ipv4 { import all; export $export; }; }"
            if [ "$name" != idle ]; then
                echo "protocol bgp ${name}v6 { local 2001:db8:900:1::1 as 63806; neighbor 2001:db8:900:1::$hex as $asn; passive; ipv6 { import all; export $export; }; }"
            fi
        done < <(peers "$1")
    } >"$file"
    spawn "$2" bird -f -c "$file" -s "$scratch/bird.ctl"
    watched=("${started[-1]}")
}

start_frr() {
    local directory="$scratch/frr" zebra=() name asn last hex
    address_router
    rm -rf "$directory"
    mkdir -p "$directory"
    {
        echo 'router bgp 63806'
        echo ' bgp router-id 203.0.113.1'
        echo ' no bgp ebgp-requires-policy'
        echo ' no bgp default ipv4-unicast'
        while read -r name asn last hex; do
            for remote in "203.0.113.$last" "2001:db8:900:1::$hex"; do
                [ "$name $remote" != "idle 2001:db8:900:1::6f" ] || continue
                echo " neighbor $remote remote-as $asn"
                echo " neighbor $remote passive"
                echo " neighbor $remote timers connect 1"
                case $remote in *:*) family=ipv6 ;; *) family=ipv4 ;; esac
                echo " address-family $family unicast"
                echo "  neighbor $remote activate"
                if [ "$name" != sink ]; then echo "  neighbor $remote route-map none out"; fi
                echo ' exit-address-family'
            done
        done < <(peers "$1")
        echo 'exit'
        echo 'route-map none deny 10'
    } >"$directory/frr.conf"
    # The daemons become the user of the package.
    chmod 755 "$scratch"
    chown -R frr:frr "$directory"
    watched=()
    if [ "$2" = frr-kernel ]; then
        spawn "$2" /usr/lib/frr/zebra -f "$directory/frr.conf" --vty_socket "$directory" -z "$directory/zserv.api" -i "$directory/zebra.pid" -P 0
        watched+=("${started[-1]}")
        sleep 1
        zebra=(-z "$directory/zserv.api")
    else
        zebra=(-Z)
    fi
    spawn "$2" /usr/lib/frr/bgpd -f "$directory/frr.conf" --vty_socket "$directory" "${zebra[@]}" -i "$directory/bgpd.pid" -P 0
    watched+=("${started[-1]}")
}

start_openbgpd() {
    local file="$scratch/openbgpd.conf" name asn last hex home
    address_router
    # Its processes confine themselves to their user's home, which its service makes, and that does not run here.
    home=$(getent passwd _openbgpd | cut -d: -f6)
    if [ ! -d "$home" ]; then
        mkdir -p -m 755 "$home"
        homes+=("$home")
    fi
    {
        echo 'AS 63806'
        echo 'router-id 203.0.113.1'
        echo 'fib-update no'
        echo "socket \"$scratch/openbgpd.sock\""
        while read -r name asn last hex; do
            printf 'neighbor 203.0.113.%s {\nremote-as %s\npassive\nannounce IPv6 none\n}\n' "$last" "$asn"
            [ "$name" = idle ] || printf 'neighbor 2001:db8:900:1::%s {\nremote-as %s\npassive\nannounce IPv4 none\n}\n' "$hex" "$asn"
        done < <(peers "$1")
        echo 'allow from any'
        echo 'deny to any'
        echo 'allow to 203.0.113.110'
        echo 'allow to 2001:db8:900:1::6e'
    } >"$file"
    chmod 600 "$file"
    spawn openbgpd /usr/sbin/bgpd -d -f "$file"
    sleep 1
    watched=("${started[-1]}")
    local child
    for child in $(pgrep -P "${started[-1]}"); do watched+=("$child"); done
    started+=("${watched[@]:1}")
}

start_gobgp() {
    local file="$scratch/gobgp.toml" name asn last hex remote family
    address_router
    {
        printf '[global.config]\nas = 63806\nrouter-id = "203.0.113.1"\n'
        printf '[global.apply-policy.config]\nexport-policy-list = ["to-sink"]\ndefault-export-policy = "reject-route"\n'
        printf '[[defined-sets.neighbor-sets]]\nneighbor-set-name = "sink"\nneighbor-info-list = ["203.0.113.110", "2001:db8:900:1::6e"]\n'
        printf '[[policy-definitions]]\nname = "to-sink"\n[[policy-definitions.statements]]\nname = "sink"\n'
        printf '[policy-definitions.statements.conditions.match-neighbor-set]\nneighbor-set = "sink"\n'
        printf '[policy-definitions.statements.actions]\nroute-disposition = "accept-route"\n'
        while read -r name asn last hex; do
            for remote in "203.0.113.$last" "2001:db8:900:1::$hex"; do
                [ "$name $remote" != "idle 2001:db8:900:1::6f" ] || continue
                case $remote in *:*) family=ipv6-unicast ;; *) family=ipv4-unicast ;; esac
                printf '[[neighbors]]\n[neighbors.config]\nneighbor-address = "%s"\npeer-as = %s\n' "$remote" "$asn"
                printf '[neighbors.transport.config]\npassive-mode = true\n'
                printf '[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "%s"\n' "$family"
            done
        done < <(peers "$1")
    } >"$file"
    spawn gobgp /usr/bin/gobgpd -f "$file" --api-hosts 127.0.0.1:50051
    watched=("${started[-1]}")
}
