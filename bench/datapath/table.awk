# Medians, spreads and ratios of figures: lines of OUTER INNER CONTENDER WHAT VALUE.

function median(outer, inner, who, what,    n, i, j, t, v, all) {
    n = split(values[outer, inner, who, what], all, " ")
    low = high = ""
    if (n == 0) return ""
    for (i = 1; i <= n; i++) v[i] = all[i] + 0
    for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
    low = v[1]; high = v[n]
    return v[int((n + 1) / 2)]
}

function number(value, form) { return value == "" ? "-" : sprintf(form, value) }
function spread(value, form) {
    return value == "" ? "-" : low == high ? sprintf(form, value) : sprintf(form " (" form " to " form ")", value, low, high)
}
function ratio(a, b) { return a == "" || b == "" || b == 0 ? "-" : sprintf("%.2f", a / b) }

{
    if (!(($1, $2) in seen)) { seen[$1, $2]; settings[++count] = $1 " " $2 }
    if (!(($1, $2, $3) in met)) { met[$1, $2, $3]; order[$1, $2] = order[$1, $2] " " $3 }
    values[$1, $2, $3, $4] = values[$1, $2, $3, $4] " " $5
}

END {
    for (s = 1; s <= count; s++) {
        split(settings[s], at, " ")
        o = at[1]; i = at[2]
        names = split(order[o, i], who, " ")
        printf "\nInner %d, outer IPv%d, path 1500:\n\n", i, o
        print "| contender | TCP, 1 stream, Gbit/s | ours to it | CPU s per Gbit | of that the ends | TCP, 4 streams | CPU s per Gbit |"
        print "|---|---|---|---|---|---|---|"
        for (n = 1; n <= names; n++) {
            w = who[n]
            ours = median(o, i, "ours", "tcp1")
            one = median(o, i, w, "tcp1"); cell = spread(one, "%.2f")
            four = median(o, i, w, "tcp4"); cells = spread(four, "%.2f")
            printf "| %s | %s | %s | %s | %s | %s | %s |\n", w, cell, ratio(ours, one),
                number(median(o, i, w, "tcp1-cpu"), "%.3f"), number(median(o, i, w, "tcp1-ends"), "%.3f"),
                cells, number(median(o, i, w, "tcp4-cpu"), "%.3f")
        }
        size = i == 1430 ? 64 : i == 1500 ? 1400 : i == 2400 ? 2300 : 0
        if (size == 0 || !((o, i, who[1], "udp") in values)) continue
        printf "\n| contender | UDP of %d bytes, packets a second (loss at most 0.1 %%) | CPU us per packet | offered more: packets a second / loss %% | round trip p50 / p99, us | memory of one end, MiB |\n", size
        print "|---|---|---|---|---|---|"
        for (n = 1; n <= names; n++) {
            w = who[n]
            best = median(o, i, w, "udp"); cell = spread(best, "%d")
            over = values[o, i, w, "udp-over"]; sub(/^ /, "", over); gsub(/ /, "; ", over); gsub(/\//, " / ", over)
            p50 = median(o, i, w, "p50")
            kib = median(o, i, w, "memory")
            printf "| %s | %s | %s | %s | %s | %s |\n", w, cell, number(median(o, i, w, "udp-cpu"), "%.1f"), over,
                p50 == "" ? "-" : p50 " / " median(o, i, w, "p99"), kib == "" ? "-" : sprintf("%.1f", kib / 1024)
        }
    }
}
