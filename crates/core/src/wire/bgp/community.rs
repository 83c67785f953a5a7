//! Marks on a route: communities (RFC 1997), extended (RFC 4360) and large ones (RFC 8092).

use core::fmt;

/// RFC 1997: by custom an AS number and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

impl Community {
    /// RFC 8326: the route is about to go; prefer any other.
    pub const GRACEFUL_SHUTDOWN: Community = Community(0xffff_0000);
    /// Not beyond the AS that hears it.
    pub const NO_EXPORT: Community = Community(0xffff_ff01);
    /// To nobody.
    pub const NO_ADVERTISE: Community = Community(0xffff_ff02);
    /// Not beyond the AS, nor beyond a member of its confederation.
    pub const NO_EXPORT_SUBCONFED: Community = Community(0xffff_ff03);
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// RFC 4360: a type of one or two bytes and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// Whether it may cross into another AS (RFC 4360 2: the T bit is 0).
    pub fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }
}

/// RFC 8092: three four-octet numbers, of which the first is an AS number that owns the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    pub global_administrator: u32,
    pub data1: u32,
    pub data2: u32,
}

impl LargeCommunity {
    pub fn new(global_administrator: u32, data1: u32, data2: u32) -> LargeCommunity {
        LargeCommunity { global_administrator, data1, data2 }
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global_administrator, self.data1, self.data2)
    }
}
