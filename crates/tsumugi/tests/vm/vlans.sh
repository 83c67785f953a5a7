# In the guest: the VLANs of one port are ports of two segments. Debian's kernel has 802.1Q.
#
#   far (VLAN 7: 10.7.0.1, VLAN 8: 10.7.0.8) -- eth5 [ hana ] eth6 -- host (10.7.0.2)
#       eth5.7 and eth6 are of segment work, eth5.8 is of segment home
set -e
state=/tmp/hana
mkdir -p $state/keys
cp /hana.json $state/plan.json
echo '{}' >$state/keyring.json
ip netns add far
ip netns add host
ip link add eth5 type veth peer name far5 netns far
ip link add eth6 type veth peer name far6 netns host
ip -n far link set far5 up
for tag in 7 8; do
    ip -n far link add link far5 name far5.$tag type vlan id $tag
    ip -n far link set far5.$tag up
done
ip -n far address add 10.7.0.1/24 dev far5.7
ip -n far address add 10.7.0.8/32 dev far5.8
ip -n host link set far6 up
ip -n host address add 10.7.0.2/24 dev far6
tsumugi router --state $state 2>/tmp/router.log &
tries=0
until ip netns exec host ping -c 1 -W 1 10.7.0.1 >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 30 ] || { cat /tmp/router.log; echo "VLAN 7 does not cross"; exit 1; }
done
ip netns exec host ping -c 3 -W 1 -M do -s 1472 10.7.0.1 >/dev/null || exit 1
# A question on VLAN 8 reaches nobody of the other segment.
ip netns exec far ping -c 2 -W 1 -I far5.8 10.7.0.2 >/dev/null 2>&1 && { echo "VLAN 8 crosses into work"; exit 1; }
echo "VLAN 7 crosses, VLAN 8 does not"
