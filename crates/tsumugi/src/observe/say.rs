//! What a verb says to the person who typed it. A pipe that nobody reads any more is no error and no
//! reason to panic, as `println!` would: whoever closed it has seen enough.

use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// On standard output, all of it before this returns.
///
/// # Errors
/// That it cannot be written; a pipe that was closed is not one.
pub fn out(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), text)
}

/// A line on standard error. There is nobody else to be told that this failed.
pub fn err(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Fills up with spaces to a width in columns, of which Japanese characters take two.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        drop(reader);
        assert!(write(&mut writer, "words").is_ok());
        let mut full = File::options().write(true).open("/dev/full").expect("/dev/full");
        assert!(write(&mut full, "words").is_err());
    }
}
