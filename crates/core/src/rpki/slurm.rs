//! The operator's own exceptions to what a cache says (RFC 8416): filters first, then assertions.

use super::validation::Validation;
use super::vrp::{Vrp, VrpTableBuilder};
use crate::id::{Asn, Prefix};
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The file's JSON (RFC 8416 3.1), as far as it concerns routes: what it says of router keys is not for
/// us. An unknown member is an error, as the RFC demands.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlurmFile {
    slurm_version: u32,
    validation_output_filters: Filters,
    locally_added_assertions: Assertions,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filters {
    prefix_filters: Vec<PrefixFilter>,
    #[serde(rename = "bgpsecFilters")]
    _bgpsec: Vec<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Assertions {
    prefix_assertions: Vec<PrefixAssertion>,
    #[serde(rename = "bgpsecAssertions")]
    _bgpsec: Vec<serde::de::IgnoredAny>,
}

/// 3.3.1.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrefixFilter {
    prefix: Option<Prefix>,
    asn: Option<Asn>,
    #[serde(rename = "comment")]
    _comment: Option<serde::de::IgnoredAny>,
}

/// 3.4.1.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PrefixAssertion {
    asn: Asn,
    prefix: Prefix,
    max_prefix_length: Option<u8>,
    #[serde(rename = "comment")]
    _comment: Option<serde::de::IgnoredAny>,
}

/// What is wrong with a file whose JSON could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "slurm")]
pub enum BadSlurm {
    /// Only version 1 is known.
    Version { found: u32 },
    /// A filter names neither prefix nor AS number: it would filter everything.
    EmptyFilter,
    /// Shorter than the prefix, or longer than the family has bits.
    MaxLength { prefix: Prefix, max_length: u8 },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slurm {
    filters: Vec<(Option<Prefix>, Option<Asn>)>,
    assertions: Vec<Vrp>,
}

impl TryFrom<SlurmFile> for Slurm {
    type Error = BadSlurm;

    fn try_from(file: SlurmFile) -> Result<Slurm, BadSlurm> {
        if file.slurm_version != 1 {
            return Err(BadSlurm::Version { found: file.slurm_version });
        }
        let filters = file.validation_output_filters.prefix_filters.iter();
        let filters: Vec<_> = filters.map(|it| (it.prefix.map(|prefix| prefix.trunc()), it.asn)).collect();
        if filters.contains(&(None, None)) {
            return Err(BadSlurm::EmptyFilter);
        }
        let assertion = |it: &PrefixAssertion| {
            let prefix = it.prefix.trunc();
            let max_length = it.max_prefix_length.unwrap_or(prefix.prefix_len());
            match (prefix.prefix_len()..=prefix.max_prefix_len()).contains(&max_length) {
                true => Ok(Vrp { prefix, max_length, asn: it.asn }),
                false => Err(BadSlurm::MaxLength { prefix, max_length }),
            }
        };
        let assertions = file.locally_added_assertions.prefix_assertions.iter().map(assertion);
        Ok(Slurm { filters, assertions: assertions.collect::<Result<_, _>>()? })
    }
}

impl Slurm {
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    pub fn assertions(&self) -> usize {
        self.assertions.len()
    }

    /// Whether a filter takes it away (3.3.1): its prefix is the filter's or within it, its AS number
    /// the filter's; what a filter does not name matches.
    fn takes(&self, vrp: &Vrp) -> bool {
        self.filters.iter().any(|(prefix, asn)| {
            prefix.is_none_or(|prefix| prefix.contains(&vrp.prefix)) && asn.is_none_or(|asn| asn == vrp.asn)
        })
    }

    /// What is left of a cache's data, with what is added. Assertions count with no cache as well: they
    /// are the operator's word.
    pub fn apply(&self, mut validation: Validation) -> Validation {
        if self.filters.is_empty() && self.assertions.is_empty() {
            return validation;
        }
        let mut builder = VrpTableBuilder::default();
        for vrp in validation.vrps.iter().filter(|vrp| !self.takes(vrp)) {
            builder.push(&vrp);
        }
        for vrp in &self.assertions {
            builder.push(vrp);
        }
        // One that the cache says as well is one.
        validation.vrps = Arc::new(builder.finish().0);
        validation
    }
}
