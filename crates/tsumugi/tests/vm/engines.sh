# In the guest: the whole lab of engines.toml with Debian's kernel. The kernel's GRE over IPv4 and
# WireGuard devices against our own datapath, and against each other, at 2400 with two packets.
tsumugi lab up /engines.toml --name engines || exit 1
tsumugi lab verify --attach engines --only sessions --only loopbacks --only two-packets
verified=$?
for router in alpha beta gamma; do
    tsumugi lab exec --name engines $router:fabric -- ip -d -o link show |
        grep -E '^[0-9]+: (gre|wg)-' |
        sed -E 's/^[0-9]+: ([^:@]*).*\\ +(wireguard|tun|gre) .*/\1=\2/' | tr '\n' ' '
    echo "devices of $router"
done
for router in alpha beta gamma; do
    tsumugi lab exec --name engines $router:management -- tsumugi status --state /run/tsumugi/state/$router --json |
        grep -E '"(name|engine|why)"'
done
exit $verified
