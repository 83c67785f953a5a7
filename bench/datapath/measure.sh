# What is measured of a contender. Each figure becomes a line of $scratch/figures. Sourced by `run`.

record() { echo "$outer $inner $contender $1 $2" >>"$scratch/figures"; } # WHAT VALUE

serve() {
    in_ns "$(space 2)" iperf3 -s -1 -D --pidfile "$scratch/server"
    eventually "iperf3 does not listen" listens
}
listens() { in_ns "$(space 2)" ss -Hltn 'sport = :5201' | grep -q .; }

# A little TCP, to look at the wire while it runs.
burst() {
    serve
    in_ns "$(space 1)" iperf3 -c fd63:7::2 -n 8M >/dev/null || fail "$contender: no TCP"
}

# Jiffies that the tunnel's own processes have taken, and those of the kernel's softirq threads: what is
# left of it when another build keeps the machine busy.
ends_jiffies() { jiffies "${started[@]}"; }
softirq_jiffies() { jiffies $(pgrep '^ksoftirqd/'); }
jiffies() {
    local pid sum=0
    for pid in "$@"; do
        sum=$((sum + $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | awk '{ print $12 + $13 }')))
    done
    echo $sum
}

# Runs iperf3; sets ends and softirq to the jiffies taken meanwhile.
iperf() { # ARGUMENT...
    serve
    local ends0 softirq0
    ends0=$(ends_jiffies) softirq0=$(softirq_jiffies)
    in_ns "$(space 1)" iperf3 -c fd63:7::2 -t "$seconds" -J "$@" >"$scratch/json" || true
    ends=$(($(ends_jiffies) - ends0)) softirq=$(($(softirq_jiffies) - softirq0))
}

json() { # BLOCK KEY: a number of iperf3's last block of that name
    awk -v block="\"$1\":" -v key="\"$2\":" '
        index($0, block) { inside = 1 } inside && index($0, key) { gsub(/[^0-9.e+-]/, "", $2); v = $2; inside = 0 }
        END { print v + 0 }' "$scratch/json"
}

# CPU seconds of everything that took part: both iperf3, both ends of the tunnel, softirq threads.
cpu_seconds() {
    awk -v t="$seconds" -v near="$(json cpu_utilization_percent host_total)" -v far="$(json cpu_utilization_percent remote_total)" \
        -v j=$((ends + softirq)) -v hz="$hz" 'BEGIN { print (near + far) / 100 * t + j / hz }'
}

tcp() { # STREAMS
    iperf -P "$1"
    local bits
    bits=$(json sum_received bits_per_second)
    [ "${bits%.*}" -gt 0 ] || { echo "  $contender: TCP with $1 streams failed"; return; }
    record "tcp$1" "$(awk -v b="$bits" 'BEGIN { printf "%.3f", b / 1e9 }')"
    record "tcp$1-cpu" "$(awk -v b="$bits" -v t="$seconds" -v c="$(cpu_seconds)" 'BEGIN { printf "%.4f", c / (b * t / 1e9) }')"
    record "tcp$1-ends" "$(awk -v b="$bits" -v t="$seconds" -v j="$ends" -v hz="$hz" 'BEGIN { printf "%.4f", j / hz / (b * t / 1e9) }')"
}

# Offers more and more, until packets are lost: the highest rate of which one in a thousand was lost at most, and what came
# of the next.
udp() { # BYTES
    local rate sent lost arrived best=0 cpu=0 over="-"
    for rate in $rates; do
        iperf -u -l "$1" -b $((rate * 8 * $1))
        sent=$(json sum packets) lost=$(json sum lost_packets)
        arrived=$(awk -v s="$sent" -v l="$lost" -v t="$seconds" 'BEGIN { printf "%.0f", (s - l) / t }')
        if awk -v s="$sent" -v l="$lost" 'BEGIN { exit !(s == 0 || l > s / 1000) }'; then
            over="$arrived/$(awk -v s="$sent" -v l="$lost" 'BEGIN { printf "%.2f", s ? 100 * l / s : 100 }')"
            break
        fi
        best=$arrived
        cpu=$(awk -v c="$(cpu_seconds)" -v n=$((sent - lost)) 'BEGIN { printf "%.2f", n ? 1e6 * c / n : 0 }')
        # The sender itself does not get further.
        [ "$arrived" -gt $((rate * 9 / 10)) ] || break
    done
    record udp "$best"
    record udp-cpu "$cpu"
    record udp-over "$over"
}

round_trip() {
    in_ns "$(space 1)" ping -n -i 0.002 -c "$pings" fd63:7::2 | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n >"$scratch/times"
    record p50 "$(awk '{ v[NR] = $1 * 1000 } END { printf "%.0f", v[int(NR * 0.5 + 0.5)] }' "$scratch/times")"
    record p99 "$(awk '{ v[NR] = $1 * 1000 } END { printf "%.0f", v[int(NR * 0.99 + 0.5)] }' "$scratch/times")"
}

# KiB of one end, each shared page by its share (PSS).
memory() {
    local pid=${started[0]}
    # `ip netns exec` becomes the program; one that forks is its own parent's child.
    awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"
}

measure() { # CONTENDER
    set_up "$1"
    tcp 1
    tcp 4
    case $only_tcp$inner in
        1430) round_trip; udp 64 ;;
        1500) udp 1400 ;;
        2400) udp 2300 ;;
    esac
    [ ${#started[@]} -eq 0 ] || record memory "$(memory)"
    unwire
    awk -v who="$contender" -v inner="$inner" -v o="$outer" '$1 == o && $2 == inner && $3 == who { v[$4] = $5 } END {
        printf "  %-14s TCP %.2f and %.2f Gbit/s, %.3f CPU s/Gbit; UDP %d/s%s\n", who, v["tcp1"], v["tcp4"], v["tcp1-cpu"], v["udp"],
            ("p50" in v) ? "; round trip " v["p50"] " us" : "" }' "$scratch/figures"
}

# KiB of one end of ten tunnels, after bulk through each.
ten_tunnels() {
    local n end
    contender=ours-gre mtu=2400 inner=2400
    wire
    ours gre 10
    for n in 0 1 2 3 4 5 6 7 8 9; do
        for end in 1 2; do
            eventually "no device bench$n" ip -n "${id}fabric$end" link show bench$n
            ip -n "${id}fabric$end" link set bench$n mtu 2400 up
            ip -n "${id}fabric$end" address add "fd63:7:$n::$end/64" dev bench$n nodad
        done
        eventually "bench$n does not answer" in_ns fabric1 ping -n -q -c 1 -W 1 "fd63:7:$n::2"
        serve
        in_ns fabric1 iperf3 -c "fd63:7:$n::2" -n 64M >/dev/null
    done
    echo "Ten tunnels: $(awk -v k="$(memory)" 'BEGIN { printf "%.1f", k / 1024 }') MiB of one end (aim 16), after bulk through each"
    unwire
}
