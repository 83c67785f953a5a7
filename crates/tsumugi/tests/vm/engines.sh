# In the guest: the whole lab of engines.toml with Debian's kernel. The kernel's GRE over IPv4 and
# WireGuard devices against our own datapath, and against each other, at 2400 with two packets; then alpha
# is cut off silently, which takes its devices' carriers and sessions down, and joined again.
tsumugi lab up /engines.toml --name engines || exit 1
tsumugi lab verify --attach engines --only sessions --only loopbacks --only two-packets
verified=$?
for router in alpha beta gamma; do
    tsumugi lab exec --name engines $router:fabric -- ip -d -o link show |
        grep -E '^[0-9]+: (gre|wg)-' |
        sed -E 's/^[0-9]+: ([^:@]*).*\\ +(wireguard|tun|gre) .*/\1=\2/' | tr '\n' ' '
    echo "devices of $router"
done

# status ROUTER [--json]
status() {
    tsumugi lab exec --name engines $1:management -- tsumugi status --state /run/tsumugi/state/$1 $2
}
for router in alpha beta gamma; do
    status $router --json | grep -E '"(name|engine|why)"'
done

# far_ends ROUTER WORD: how many tunnels of the router say so of their far end.
far_ends() {
    status $1 --json | grep -o "\"far-end\": *\"$2\"" | wc -l
}

# dormant ROUTER: how many of the kernel's devices are without a far end.
dormant() {
    tsumugi lab exec --name engines $1:fabric -- ip -o link show | grep -E '^[0-9]+: (gre|wg)-' | grep -c 'state DORMANT'
}

# links_down ROUTER: how many links its router process takes for down.
links_down() {
    status $1 --json | grep -o '"up": *false' | wc -l
}

# wait_until WHAT COMMAND: at most 30 s.
wait_until() {
    for try in $(seq 60); do
        if $2; then
            echo "seen: $1"
            return
        fi
        sleep 0.5
    done
    echo "not seen: $1"
    status alpha
    verified=1
}

all_alive() { [ "$(far_ends alpha alive)" = 5 ] && [ "$(far_ends gamma alive)" = 2 ]; }
all_dead() { [ "$(far_ends alpha dead)" = 5 ] && [ "$(dormant alpha)" = 5 ] && [ "$(links_down alpha)" = 5 ]; }
none_dormant() { all_alive && [ "$(dormant alpha)" = 0 ] && [ "$(links_down alpha)" = 0 ]; }

wait_until "every far end lives" all_alive
# The path under the kernel's own devices is asked of the far end's machine, beside the tunnel.
for tunnel in gre-gamma wg-gamma; do
    tsumugi lab exec --name engines alpha:management -- tsumugi probe $tunnel --lang en --state /run/tsumugi/state/alpha
done
tsumugi lab exec --name engines alpha:underlay -- nft 'add table inet cut;
    add chain inet cut in { type filter hook input priority -500; policy drop; };
    add chain inet cut out { type filter hook output priority -500; policy drop; }'
wait_until "the kernel's devices are dormant" all_dead
tsumugi lab exec --name engines alpha:underlay -- nft delete table inet cut
wait_until "and awake again" none_dormant
tsumugi lab verify --attach engines --only sessions --only loopbacks || verified=1
# Signals reach the stack of such a device as well, which is no business of the walls.
status alpha --json | grep 'not-for-routers'
exit $verified
