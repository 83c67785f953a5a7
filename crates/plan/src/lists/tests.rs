use super::*;
use proptest::prelude::*;

fn shown(text: &str) -> Vec<String> {
    read(text).unwrap().iter().map(ToString::to_string).collect()
}

fn wrong(text: &str) -> (usize, Mistake) {
    match read(text).unwrap_err() {
        Trouble::Wrong { line, mistake, .. } => (line, mistake),
        other => panic!("{other:?}"),
    }
}

/// What bgpq4 1.9 prints for one AS-SET in its formats, with -R 24.
const PRINTED: [&str; 8] = [
    "{ \"NN\": [\n    { \"prefix\": \"192.0.2.0\\/24\", \"exact\": true },\n    { \"prefix\": \"203.0.112.0\\/22\", \"exact\": false, \"less-equal\": 24 }\n] }",
    "no ip prefix-list NN\nip prefix-list NN permit 192.0.2.0/24\nip prefix-list NN permit 203.0.112.0/22 le 24\n",
    "no ip prefix-list NN\nip prefix-list NN seq 1 permit 192.0.2.0/24\nip prefix-list NN seq 2 permit 203.0.112.0/22 le 24\n",
    "NN = [\n    192.0.2.0/24,\n    203.0.112.0/22{22,24}\n];\n",
    "prefix { \n\t192.0.2.0/24\n\t203.0.112.0/22 prefixlen 22 - 24\n\t}\n",
    "prefix-set NN {\n\t192.0.2.0/24\n\t203.0.112.0/22 prefixlen 22 - 24\n}\n",
    "no ip prefix-list NN\nip prefix-list NN\n    seq 1 permit 192.0.2.0/24\n    seq 2 permit 203.0.112.0/22 le 24\n",
    "# by hand\n192.0.2.0/24\n203.0.112.0/22<=24   # with what is within\n",
];

#[test]
fn every_format_of_bgpq4_says_the_same() {
    for text in PRINTED {
        assert_eq!(shown(text), ["192.0.2.0/24", "203.0.112.0/22<=24"], "{text}");
    }
}

#[test]
fn an_aggregated_list_and_several_lists_in_one_file() {
    let text = r#"{ "FOO-4": [ { "prefix": "198.51.100.0\/23", "exact": false,
      "greater-equal": 24, "less-equal": 24 } ],
      "FOO-6": [ { "prefix": "2001:db8::\/32", "exact": false, "less-equal": 48 } ] }"#;
    assert_eq!(shown(text), ["198.51.100.0/23>=24<=24", "2001:db8::/32<=48"]);
    assert_eq!(shown(r#"["192.0.2.0/24", {"prefix": "2001:db8::/32"}]"#), ["192.0.2.0/24", "2001:db8::/32"]);
}

#[test]
fn lengths_as_people_write_them() {
    for (text, means) in [
        ("10.0.0.0/8+", "10.0.0.0/8<=32"),
        ("10.0.0.0/8^+", "10.0.0.0/8<=32"),
        ("10.0.0.0/8^-", "10.0.0.0/8>=9<=32"),
        ("10.0.0.0/8^16-24", "10.0.0.0/8>=16<=24"),
        ("10.0.0.0/8^24", "10.0.0.0/8>=24<=24"),
        ("10.0.0.0/8>=16<=24", "10.0.0.0/8>=16<=24"),
        ("10.0.0.0/8{16,24};", "10.0.0.0/8>=16<=24"),
        ("10.0.0.0/8 ge 16", "10.0.0.0/8>=16<=32"),
        ("10.0.0.0/8 le 24", "10.0.0.0/8<=24"),
        ("10.0.0.0/8 or-longer", "10.0.0.0/8<=32"),
        ("10.0.0.0/8 exact", "10.0.0.0/8"),
        ("10.0.0.0/8 prefixlen >= 16", "10.0.0.0/8>=16<=32"),
        ("ipv6 prefix-list X seq 5 permit 2001:db8::/32 ge 40 le 48", "2001:db8::/32>=40<=48"),
        ("define X = [ 2001:db8::/32{32,48} ];", "2001:db8::/32<=48"),
    ] {
        assert_eq!(shown(text), [means], "{text}");
    }
}

#[test]
fn a_mistake_is_told_with_its_line() {
    let not = |text: &str| Mistake::NotAPrefix { text: text.into() };
    assert_eq!(wrong("192.0.2.0/24\nfoo\n"), (2, not("foo")));
    assert_eq!(wrong("\n\n192.0.2/24"), (3, not("192.0.2/24")));
    assert_eq!(wrong("192.0.2.1"), (1, Mistake::LengthMissing { text: "192.0.2.1".into() }));
    let network = "192.0.2.0/24".parse().unwrap();
    assert_eq!(wrong("192.0.2.1/24"), (1, Mistake::HostBits { network }));
    assert!(matches!(wrong("192.0.2.0/24 le 20").1, Mistake::Lengths { .. }));
    assert!(matches!(wrong("192.0.2.0/24 le 33").1, Mistake::Lengths { .. }));
    assert!(matches!(wrong("192.0.2.0/24 ge").1, Mistake::Lengths { .. }));
    assert!(matches!(wrong("ip prefix-list NN deny 0.0.0.0/0").1, Mistake::Denies { .. }));
    assert!(matches!(wrong("<html>").1, Mistake::NotAPrefix { .. }));
    let json = "{ \"NN\": [\n { \"prefix\": \"192.0.2.0\\/24\" },\n { \"prefix\": \"192.0.2.7\\/24\" } ] }";
    assert_eq!(wrong(json), (3, Mistake::HostBits { network }));
    assert_eq!(wrong("{\"NN\": [\n  13335,15169\n]}").1, Mistake::AsNumbers);
    assert!(matches!(wrong("{ \"NN\": [\n{ \"prefix\": \"192.0"), (2, Mistake::Json { .. })));
    assert!(matches!(wrong("{ \"NN\": 7 }").1, Mistake::Json { .. }));
    let both = "{\"NN\": [{\"prefix\": \"192.0.2.0/24\", \"exact\": true, \"less-equal\": 28}]}";
    assert!(matches!(wrong(both).1, Mistake::Lengths { .. }));
    for text in ["", "# nothing\n", "{ \"NN\": [\n] }", "prefix-set NN {\n}\n"] {
        assert_eq!(read(text), Err(Trouble::Empty), "{text:?}");
    }
    // What is far from a list is told once, and not line by line.
    let Err(Trouble::Wrong { more, .. }) = read(&"x y\n".repeat(1000)) else { panic!("nothing wrong") };
    assert!(more < TOLD);
}

#[test]
fn what_is_printed_reads_the_same_and_what_is_lost_is_counted() {
    let old = read("192.0.2.0/24\n203.0.112.0/22<=24\n198.51.0.0/16>=20<=24\n2001:db8::/32<=48\n").unwrap();
    assert_eq!(read(&print(&old)).unwrap(), old);
    let one = read("192.0.2.0/24").unwrap();
    assert_eq!(read(&print(&one)).unwrap(), one);
    assert_eq!((lost(&old, &one), lost(&one, &old), lost(&old, &old)), (3, 0, 0));
    // An aggregate in the place of what it is made of loses nothing.
    assert_eq!(lost(&read("192.0.2.0/25\n192.0.2.128/25").unwrap(), &one), 0);
}

/// A hundred thousand prefixes, as the largest AS-SETs have.
#[test]
fn a_large_list_is_read() {
    let entry = |n: u32| {
        let prefix = std::net::Ipv4Addr::from_bits(0x1000_0000 + (n << 8));
        format!("    {{ \"prefix\": \"{prefix}\\/24\", \"exact\": true }}")
    };
    let entries: Vec<String> = (0..100_000).map(entry).collect();
    let text = format!("{{ \"NN\": [\n{}\n] }}", entries.join(",\n"));
    assert_eq!(read(&text).unwrap().len(), 100_000);
}

fn pieces() -> impl Strategy<Value = String> {
    let pieces = [
        "192.0.2.0/24",
        "2001:db8::/32",
        "{",
        "}",
        "[",
        "]",
        ",",
        ";",
        "=",
        " ",
        "\n",
        "\"",
        "\\/",
        "^",
        "+",
        "<=",
        ">=",
        "24",
        "300",
        "-",
        "le",
        "ge",
        "prefixlen",
        "permit ",
        "deny",
        "ip prefix-list NN ",
        "seq 1 ",
        "NN = [",
        "prefix",
        "exact",
        "true",
        "\"prefix\":",
        "\"less-equal\":",
        "#",
        "!",
        "//",
        "あ",
        "\0",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

/// Whatever is read: what comes out are ranges that mean something, or a mistake in a line that is there.
fn sound(text: &str) {
    match read(text) {
        Ok(ranges) => {
            for range in ranges {
                assert_eq!(range.to_string().parse(), Ok(range));
                assert!(range.prefix.prefix_len() <= range.least && range.least <= range.most);
                assert!(range.most <= range.prefix.max_prefix_len());
            }
        }
        Err(Trouble::Wrong { line, .. }) => assert!((1..=text.lines().count().max(1) + 1).contains(&line)),
        Err(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        sound(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_pieces_do_no_harm(text in pieces()) {
        sound(&text);
    }

    #[test]
    fn mutated_lists_do_no_harm(of in 0..PRINTED.len(), at in any::<prop::sample::Index>(), cut in 0usize..6, put in pieces()) {
        let text: Vec<char> = PRINTED[of].chars().collect();
        let at = at.index(text.len());
        let end = (at + cut).min(text.len());
        let mutated: String = text[..at].iter().copied().chain(put.chars()).chain(text[end..].iter().copied()).collect();
        sound(&mutated);
    }
}
