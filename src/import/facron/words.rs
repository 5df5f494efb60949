//! A line of facron.conf as written: a path, events, and the words of a command.
//!
//! ```text
//! line := WORD SP* MASK SP+ WORD (SP* WORD)* SP*      SP = space \t \r \n
//! WORD := "…" | '…' | run of non-SP                   quotes only at the first byte, and no escapes in them
//! MASK := run of non-SP
//! ```

use std::ops::Range;

use super::mask;

/// A line as written.
#[derive(Debug)]
pub struct Entry<'l> {
    /// The path.
    pub path: Word<'l>,
    /// The events; none: the line ends before them.
    pub mask: Option<Word<'l>>,
    /// The program and its arguments.
    pub command: Vec<Word<'l>>,
}

/// A word as written.
#[derive(Clone, Debug)]
pub struct Word<'l> {
    /// Without its quotes.
    pub bytes: &'l [u8],
    /// With its quotes, in the line.
    pub range: Range<usize>,
    /// Whether it stood in quotes.
    pub is_quoted: bool,
    /// Whether no blank separates it from the word before.
    pub is_glued: bool,
}

/// A quote that is never closed, by its place in the line.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenQuote(pub usize);

impl Entry<'_> {
    /// Splits a line; blanks before it are passed over. The line is not empty.
    pub fn parse(line: &[u8]) -> Result<Entry<'_>, OpenQuote> {
        let mut scanner = Scanner { line, offset: 0 };
        let path =
            scanner.word()?.unwrap_or(Word { bytes: b"", range: 0..0, is_quoted: false, is_glued: false });
        let mask = scanner.bare_word();
        let mut command = Vec::new();
        while let Some(word) = scanner.word()? {
            command.push(word);
        }
        Ok(Entry { path, mask, command })
    }
}

/// Whether a comment has a word that names events.
pub fn could_be_rule(line: &[u8]) -> bool {
    line.split(|byte| is_blank(*byte)).any(mask::is_mask)
}

struct Scanner<'l> {
    line: &'l [u8],
    offset: usize,
}

impl<'l> Scanner<'l> {
    fn word(&mut self) -> Result<Option<Word<'l>>, OpenQuote> {
        let is_glued = self.skip_blanks();
        let start = self.offset;
        let quote = match self.line.get(start) {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => return Ok(self.run(is_glued)),
        };
        let inner = &self.line[start + 1..];
        let len = inner.iter().position(|byte| *byte == quote).ok_or(OpenQuote(start))?;
        self.offset = start + len + 2;
        Ok(Some(Word { bytes: &inner[..len], range: start..self.offset, is_quoted: true, is_glued }))
    }

    fn bare_word(&mut self) -> Option<Word<'l>> {
        let is_glued = self.skip_blanks();
        self.run(is_glued)
    }

    /// A run of what is no blank.
    fn run(&mut self, is_glued: bool) -> Option<Word<'l>> {
        let start = self.offset;
        let rest = &self.line[start..];
        let len = rest.iter().position(|byte| is_blank(*byte)).unwrap_or(rest.len());
        self.offset += len;
        (len > 0).then(|| Word { bytes: &rest[..len], range: start..self.offset, is_quoted: false, is_glued })
    }

    /// Whether there were none, behind another word.
    fn skip_blanks(&mut self) -> bool {
        let rest = &self.line[self.offset..];
        let len = rest.iter().position(|byte| !is_blank(*byte)).unwrap_or(rest.len());
        self.offset += len;
        len == 0 && self.offset > 0
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let entry = Entry::parse(line.as_bytes()).expect(line);
        let words = std::iter::once(entry.path).chain(entry.mask).chain(entry.command);
        words.map(|word| String::from_utf8_lossy(word.bytes).into_owned()).collect()
    }

    #[test]
    fn a_line_falls_into_words() {
        for (line, expected) in [
            ("/f M c a", &["/f", "M", "c", "a"][..]),
            ("\t/f\tM  c\r", &["/f", "M", "c"]),
            ("'/a b'M c", &["/a b", "M", "c"]),
            ("/f M c \"a\"b 'c'\"d\"", &["/f", "M", "c", "a", "b", "c", "d"]),
            ("/f M c \"\" x\"y", &["/f", "M", "c", "", "x\"y"]),
            ("/f \"M\" c", &["/f", "\"M\"", "c"]),
            ("/f", &["/f"]),
        ] {
            assert_eq!(words(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_quote_must_be_closed() {
        assert_eq!(Entry::parse(b"/f M c \"a").err(), Some(OpenQuote(7)));
        assert_eq!(Entry::parse(b"'/f M c").err(), Some(OpenQuote(0)));
    }
}
