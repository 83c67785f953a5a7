# Medians of files CONTENDER.CASE.ROUND of `name value` lines: a row per name, a column per contender,
# each with its ratio to that of `base`.
FNR == 1 {
    contender = FILENAME
    sub(/.*\//, "", contender)
    sub(/\..*/, "", contender)
    if (!(contender in seen)) { seen[contender] = 1; order[++contenders] = contender }
}
{
    value = $NF
    name = $0
    sub(/ [^ ]*$/, "", name)
    if (!(name in named)) { named[name] = 1; names[++rows] = name }
    key = name SUBSEP contender
    values[key, ++count_of[key]] = value
}
function median(key,    n, i, j, swap, sorted) {
    n = count_of[key]
    if (!n) return ""
    for (i = 1; i <= n; i++) sorted[i] = values[key, i] + 0
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) { swap = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = swap }
    return sorted[int((n + 1) / 2)]
}
END {
    line = "| " title " |"
    rule = "|---|"
    for (c = 1; c <= contenders; c++) { line = line " " order[c] " |"; rule = rule "---|" }
    print line
    print rule
    for (r = 1; r <= rows; r++) {
        line = "| " names[r] " |"
        ref = median(names[r] SUBSEP base)
        for (c = 1; c <= contenders; c++) {
            it = median(names[r] SUBSEP order[c])
            ratio = (it != "" && ref > 0 && order[c] != base) ? sprintf(" (%.2f)", it / ref) : ""
            line = line " " it ratio " |"
        }
        print line
    }
}
