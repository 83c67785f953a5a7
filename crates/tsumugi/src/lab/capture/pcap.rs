//! The capture file that every analyser reads (draft-ietf-opsawg-pcap).

use super::Seen;
use std::io::{self, Write};
use std::time::UNIX_EPOCH;

/// Magic number of files with microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;
const SNAP_LENGTH: u32 = 65_535;
/// LINKTYPE_RAW: each packet begins with its IP header.
const LINK_TYPE: u32 = 101;

/// Writes packets as they come.
pub struct PcapWriter<W: Write>(W);

impl<W: Write> PcapWriter<W> {
    /// Writes the file's header.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut out: W) -> io::Result<PcapWriter<W>> {
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC.to_le_bytes());
        header.extend([2, 0, 4, 0]);
        // Time zone and accuracy: zero in all files.
        header.extend([0; 8]);
        header.extend(SNAP_LENGTH.to_le_bytes());
        header.extend(LINK_TYPE.to_le_bytes());
        out.write_all(&header)?;
        Ok(PcapWriter(out))
    }

    /// # Errors
    /// What the writer says.
    pub fn write(&mut self, seen: &Seen) -> io::Result<()> {
        let at = seen.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = (seen.bytes.len() as u32).min(SNAP_LENGTH);
        let mut record = Vec::with_capacity(16 + seen.bytes.len());
        // The format ends in 2106.
        record.extend((at.as_secs() as u32).to_le_bytes());
        record.extend(at.subsec_micros().to_le_bytes());
        record.extend(length.to_le_bytes());
        record.extend((seen.bytes.len() as u32).to_le_bytes());
        record.extend_from_slice(&seen.bytes[..length as usize]);
        self.0.write_all(&record)
    }

    /// # Errors
    /// What the writer says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_file_of_one_packet() {
        let mut file = Vec::new();
        let mut writer = PcapWriter::new(&mut file).unwrap();
        let at = UNIX_EPOCH + Duration::from_micros(3_000_007);
        writer.write(&Seen { at, place: 0, leaving: true, bytes: vec![0x45, 1, 2] }).unwrap();
        assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
        assert_eq!(file[20..24], [101, 0, 0, 0]);
        assert_eq!(file[24..], [3, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0x45, 1, 2]);
    }
}
