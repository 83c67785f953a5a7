# In the guest: Ethernet in GRE and in GENEVE, over both families, ours against the kernel's own devices:
# frames that fit, and packets of exactly 2400 bytes that leave as two, both ways.
#
#   fabric  gtap-t4 gtap-t6 gnv-g4 gnv-g6 [ ours ] eth1 -- far0 [ kernel ] t4 t6 g4 g6  far
#           198.18.N.1                                                     198.18.N.2
#
# What the kernel's devices over IPv6 would have to send in pieces they do not send at all: there only our
# direction is large.
set -e
state=/tmp/hana
mkdir -p $state/keys
cp /hana.json $state/plan.json
echo '{}' >$state/keyring.json
modprobe ip_gre
modprobe ip6_gre
modprobe geneve
ip netns add far
ip link add eth1 type veth peer name far0 netns far
far="ip -n far"
$far link set lo up
$far link set far0 up
$far address add 192.0.2.254/24 dev far0
$far address add 2001:db8:101::ff/64 dev far0 nodad
for address in 198.51.100.4/32 198.51.100.5/32 2001:db8:102::6/128 2001:db8:102::7/128; do
    $far address add $address dev lo
done
$far link add t4 type gretap local 198.51.100.4 remote 192.0.2.1 key 4 ttl 64 nopmtudisc ignore-df
$far link add t6 type ip6gretap local 2001:db8:102::6 remote 2001:db8:101::1 encaplimit none
$far link add g4 type geneve id 4 remote 192.0.2.1 ttl 64
$far link add g6 type geneve id 16777215 remote 2001:db8:101::1 ttl 64
# A geneve device takes its source address from the route.
$far route add 192.0.2.1/32 dev far0 src 198.51.100.5
$far route add 2001:db8:101::1/128 dev far0 src 2001:db8:102::7
tsumugi datapath --state $state 2>/tmp/datapath.log &
mkdir -p /run/netns
failed() {
    echo "$1"
    cat /tmp/datapath.log
    tsumugi status --state $state --json
    exit 1
}
tries=0
until tsumugi status --state $state --json | grep -o '"state":"up"' | grep -c . | grep -q 4; do
    tries=$((tries + 1)); [ $tries -lt 300 ] || failed "not all tunnels are up"; sleep 0.1
done
: >/run/netns/fabric
mount --bind $state/planes/fabric /run/netns/fabric
number=0
for pair in t4=gtap-t4 t6=gtap-t6 g4=gnv-g4 g6=gnv-g6; do
    number=$((number + 1))
    theirs=${pair%%=*} ours=${pair#*=}
    $far link set $theirs mtu 2400 address 02:00:00:00:00:0$number up
    # Locked: else the kernel takes what it hears of the path outside for the inside.
    $far address add 198.18.$number.2/32 dev lo
    $far route add 198.18.$number.1/32 dev $theirs src 198.18.$number.2 mtu lock 2400
    ip -n fabric address add 198.18.$number.1/32 dev $ours
    ip -n fabric route add 198.18.$number.2/32 dev $ours src 198.18.$number.1
done
received() { ip netns exec far cat /sys/class/net/$1/statistics/rx_packets; }
# What the kernel was given in pieces of one family, and what it has put together of them.
pieces() {
    case $1 in
    *4) ip netns exec far awk '$1 == "Ip:" { pieces = $15; whole = $16 } END { print pieces, whole }' /proc/net/snmp ;;
    *6) ip netns exec far awk '$1 == "Ip6ReasmReqds" { pieces = $2 } $1 == "Ip6ReasmOKs" { whole = $2 }
        END { print pieces, whole }' /proc/net/snmp6 ;;
    esac
}
number=0
for pair in t4=gtap-t4 t6=gtap-t6 g4=gnv-g4 g6=gnv-g6; do
    number=$((number + 1))
    theirs=${pair%%=*}
    tries=0
    until ip netns exec fabric ping -n -c 1 -W 1 198.18.$number.2 >/dev/null 2>&1; do
        tries=$((tries + 1)); [ $tries -lt 30 ] || failed "$theirs hears nothing"
    done
    ip netns exec fabric ping -n -q -c 3 -i 0.2 -W 2 198.18.$number.2 >/dev/null || failed "$theirs: we call"
    ip netns exec far ping -n -q -c 3 -i 0.2 -W 2 198.18.$number.1 >/dev/null || failed "$theirs: it calls"
    before=$(pieces $theirs) inside=$(received $theirs)
    answers=$(ip netns exec fabric ping -n -q -c 5 -i 0.2 -W 2 -M do -s 2372 198.18.$number.2 | grep -o '[0-9]* received') || true
    after=$(pieces $theirs)
    cut=$((${after% *} - ${before% *})) whole=$((${after#* } - ${before#* }))
    echo "$theirs: 5 packets of 2400: $cut pieces of $whole, ${answers:-none answered}"
    [ "$cut $whole" = "10 5" ] && [ $(($(received $theirs) - inside)) -ge 5 ] || failed "$theirs: not two for each"
    case $theirs in
    *4) [ "$answers" = "5 received" ] || failed "$theirs: large packets do not come back" ;;
    esac
done
# Every checksum of ours was right to the kernel, and nothing of its was wrong to us.
wrong=$(ip netns exec far awk '$1 == "Udp:" { wrong = $8 } END { print wrong }' /proc/net/snmp)
wrong6=$(ip netns exec far awk '$1 == "Udp6InCsumErrors" { print $2 }' /proc/net/snmp6)
[ "$wrong $wrong6" = "0 0" ] || failed "wrong checksums: $wrong $wrong6"
[ "$(tsumugi status --state $state --json | grep -o '"drops":{}' | grep -c .)" = 5 ] || failed "something was dropped"
echo "Ethernet in GRE and in GENEVE speaks with the kernel"
