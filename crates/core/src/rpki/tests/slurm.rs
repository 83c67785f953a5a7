//! The operator's exceptions (RFC 8416).

use super::{table, vrp};
use crate::rpki::{AspaTable, BadSlurm, Slurm, SlurmFile, Validation};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

fn read(text: &str) -> Result<Slurm, String> {
    let file: SlurmFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Slurm::try_from(file).map_err(|bad| alloc::format!("{bad:?}"))
}

/// RFC 8416 3.5, without router keys' contents.
const EXAMPLE: &str = r#"{
  "slurmVersion": 1,
  "validationOutputFilters": {
    "prefixFilters": [
      { "prefix": "192.0.2.0/24", "comment": "All VRPs encompassed by prefix" },
      { "asn": 64496, "comment": "All VRPs matching ASN" },
      { "prefix": "198.51.100.0/24", "asn": 64497, "comment": "All VRPs encompassed by prefix, matching ASN" }
    ],
    "bgpsecFilters": [ { "asn": 64496, "comment": "All keys for ASN" } ]
  },
  "locallyAddedAssertions": {
    "prefixAssertions": [
      { "asn": 64496, "prefix": "198.51.100.0/24", "comment": "My other important route" },
      { "asn": 64496, "prefix": "2001:DB8::/32", "maxPrefixLength": 48, "comment": "My de-aggregated routes" }
    ],
    "bgpsecAssertions": [ { "asn": 64496, "SKI": "<base64>", "routerPublicKey": "<base64>" } ]
  }
}"#;

#[test]
fn the_example_of_the_rfc() {
    let slurm = read(EXAMPLE).unwrap();
    let cache = [
        vrp("192.0.2.0/24", 24, 64500),
        vrp("192.0.2.128/25", 25, 64500),
        // Covers the filter's prefix, and is not within it.
        vrp("192.0.0.0/16", 24, 64500),
        vrp("203.0.113.0/24", 24, 64496),
        vrp("198.51.100.0/24", 24, 64497),
        vrp("198.51.100.0/24", 24, 64498),
    ];
    let raw =
        Validation { vrps: Arc::new(table(&cache)), aspas: Arc::new(AspaTable::default()), present: true };
    let applied = slurm.apply(raw);
    let expected = [
        vrp("192.0.0.0/16", 24, 64500),
        vrp("198.51.100.0/24", 24, 64496),
        vrp("198.51.100.0/24", 24, 64498),
        vrp("2001:db8::/32", 48, 64496),
    ];
    assert_eq!(applied.vrps.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_no_slurm_is_refused() {
    let with = |filters: &str, assertions: &str| {
        alloc::format!(
            r#"{{"slurmVersion":1,"validationOutputFilters":{{"prefixFilters":[{filters}],"bgpsecFilters":[]}},
            "locallyAddedAssertions":{{"prefixAssertions":[{assertions}],"bgpsecAssertions":[]}}}}"#
        )
    };
    assert!(read(&with("", "")).is_ok());
    assert_eq!(read(&with(r#"{"comment":"all?"}"#, "")), Err(alloc::format!("{:?}", BadSlurm::EmptyFilter)));
    assert!(read(&with(r#"{"asn":1,"other":2}"#, "")).is_err());
    for bad in [23, 33] {
        let assertion = alloc::format!(r#"{{"asn":1,"prefix":"192.0.2.0/24","maxPrefixLength":{bad}}}"#);
        assert!(read(&with("", &assertion)).unwrap_err().contains("MaxLength"));
    }
    let other = with("", "").replace("\"slurmVersion\":1", "\"slurmVersion\":2");
    assert_eq!(read(&other), Err(alloc::format!("{:?}", BadSlurm::Version { found: 2 })));
    assert!(read("{}").is_err());
}
