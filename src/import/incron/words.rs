//! A line of an incrontab as written: a path, events, and everything behind them.
//!
//! ```text
//! line := [ \t]* PATH [ \t]+ MASK [ \t] COMMAND      in PATH `\x` is x, whatever x is
//! ```

use std::ops::Range;

/// A line as written.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'l> {
    /// The path, with its escapes undone.
    pub path: Vec<u8>,
    /// Where it stands in the line.
    pub path_range: Range<usize>,
    /// Whether a blank in it stands behind a backslash.
    pub has_escaped_blank: bool,
    /// The events and options.
    pub mask: &'l [u8],
    /// Where they stand in the line.
    pub mask_range: Range<usize>,
    /// The command, without blanks around it.
    pub command: &'l [u8],
    /// Where it stands in the line.
    pub command_range: Range<usize>,
}

impl Entry<'_> {
    /// Splits a line; what is missing is empty.
    pub fn parse(line: &[u8]) -> Entry<'_> {
        let start = skip_blanks(line, 0);
        let mut path = Vec::new();
        let mut has_escaped_blank = false;
        let mut end = start;
        while end < line.len() && !is_blank(line[end]) {
            if line[end] == b'\\' && end + 1 < line.len() {
                end += 1;
                has_escaped_blank |= is_blank(line[end]);
            }
            path.push(line[end]);
            end += 1;
        }
        let mask_start = skip_blanks(line, end);
        let mask_end = line[mask_start..].iter().position(|byte| is_blank(*byte));
        let mask_end = mask_end.map_or(line.len(), |len| mask_start + len);
        let command_start = skip_blanks(line, mask_end);
        let blanks = line[command_start..].iter().rev().take_while(|byte| is_blank(**byte)).count();
        // A blank behind a backslash belongs to the last word.
        let is_escaped = blanks > 0 && line[..line.len() - blanks].ends_with(b"\\");
        let command_end = line.len() - blanks + usize::from(is_escaped);
        Entry {
            path,
            path_range: start..end,
            has_escaped_blank,
            mask: &line[mask_start..mask_end],
            mask_range: mask_start..mask_end,
            command: &line[command_start..command_end],
            command_range: command_start..command_end,
        }
    }
}

fn skip_blanks(line: &[u8], start: usize) -> usize {
    start + line[start..].iter().take_while(|byte| is_blank(**byte)).count()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_three() {
        for (line, path, mask, command) in [
            ("/d M c $#", "/d", "M", "c $#"),
            ("  /d \t M   c  ", "/d", "M", "c"),
            ("/a\\ b\\x M c", "/a bx", "M", "c"),
            ("/d M c\\ ", "/d", "M", "c\\ "),
            ("/d M ", "/d", "M", ""),
            ("/d", "/d", "", ""),
            ("\\", "\\", "", ""),
        ] {
            let entry = Entry::parse(line.as_bytes());
            assert_eq!(entry.path, path.as_bytes(), "{line}");
            assert_eq!((entry.mask, entry.command), (mask.as_bytes(), command.as_bytes()), "{line}");
        }
    }
}
