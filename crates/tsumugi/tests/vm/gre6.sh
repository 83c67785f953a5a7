# In the guest: our GRE over IPv6 into the kernel's receiver. The kernel itself cannot send 2400 bytes
# over 1500 by GRE over IPv6, so only small packets come back.
set -e
state=/tmp/hana
mkdir -p $state/keys
cp /hana.json $state/plan.json
echo '{}' >$state/keyring.json
modprobe ip6_gre
ip netns add far
ip link add eth1 type veth peer name far0 netns far
ip -n far link set lo up
ip -n far address add 2001:db8:101::ff/64 dev far0 nodad
ip -n far address add 2001:db8:102::1/128 dev lo nodad
ip -n far link set far0 up
ip -n far link add gre-hana type ip6gre local 2001:db8:102::1 remote 2001:db8:101::1 encaplimit none
ip -n far link set gre-hana mtu 2400
ip -n far link set gre-hana up
ip -n far address add fe80::2/64 dev gre-hana nodad
ip -n far address add 198.18.0.2/32 dev lo
ip -n far route add 198.18.0.1/32 dev gre-hana
tsumugi datapath --state $state 2>/tmp/datapath.log &
tsumugi router --state $state 2>/tmp/router.log &
tries=0
until ip netns exec far ping -c 1 -W 1 fe80::1%gre-hana >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 30 ] || { cat /tmp/datapath.log /tmp/router.log; echo "the kernel's end hears nothing"; exit 1; }
done
echo "small packets: both ways"
mkdir -p /run/netns
: >/run/netns/fabric
mount --bind $state/planes/fabric /run/netns/fabric
# In the fabric's own view: packets of exactly 2400 bytes, not to be fragmented inside.
ip -n fabric address add 198.18.0.1/32 dev lo
ip -n fabric route add 198.18.0.2/32 dev gre-ren src 198.18.0.1
before=$(ip netns exec far cat /sys/class/net/far0/statistics/rx_packets)
inner=$(ip netns exec far cat /sys/class/net/gre-hana/statistics/rx_packets)
# The answers are too large for the kernel's sender: only what arrives is counted.
ip netns exec fabric ping -c 5 -W 1 -i 0.2 -M do -s 2372 198.18.0.2 >/dev/null 2>&1 || true
after=$(ip netns exec far cat /sys/class/net/far0/statistics/rx_packets)
inner_after=$(ip netns exec far cat /sys/class/net/gre-hana/statistics/rx_packets)
bytes=$(ip netns exec far cat /sys/class/net/gre-hana/statistics/rx_bytes)
echo "outer $((after - before)) inner $((inner_after - inner)) bytes $bytes"
[ $((inner_after - inner)) -ge 5 ] || exit 1
grep -E '^Ip6(ReasmOKs|ReasmFails)' /dev/null || true
ip netns exec far grep -E '^Ip6Reasm(OKs|Fails)' /proc/net/snmp6
oks=$(ip netns exec far awk '$1 == "Ip6ReasmOKs" { print $2 }' /proc/net/snmp6)
[ "$oks" -ge 5 ] || exit 1
echo "GRE6 $oks packets of 2400 reassembled from two"
