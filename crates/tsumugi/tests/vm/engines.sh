# In the guest: the whole lab of engines.toml with Debian's kernel. The kernel's GRE over IPv4 and
# WireGuard devices against our own datapath, and against each other, at 2400 with two packets.
tsumugi lab up /engines.toml --name engines || exit 1
tsumugi lab verify --attach engines /engines.toml --only sessions --only loopbacks --only two-packets
verified=$?
for router in alpha beta gamma; do
    tsumugi lab exec --name engines $router:fabric -- ip -d link show 2>/dev/null |
        grep -oE '^[0-9]+: (gre|wg)[^:@]*|link/(gre|none)|wireguard|tun type tun|gre remote' | tr '\n' ' '
    echo "devices of $router"
done
exit $verified
