//! Edits that can be made without a person's look, applied to a text.

use crate::diagnostic::{Diagnostic, Fix};

/// A text after its safe edits.
#[derive(Debug, PartialEq, Eq)]
pub struct Fixed {
    /// What it is then.
    pub text: String,
    /// How many edits were made.
    pub count: usize,
}

/// Applies the safe edits of one source; of two that overlap only the first.
pub fn with_safe_fixes(text: &str, source: usize, findings: &[Diagnostic]) -> Fixed {
    let of_source = findings.iter().filter(|finding| finding.source == Some(source));
    let mut fixes: Vec<&Fix> =
        of_source.filter_map(|finding| finding.fix.as_ref()).filter(|fix| fix.is_safe).collect();
    fixes.sort_by_key(|fix| (fix.span.start, fix.span.end));
    let mut fixed = Fixed { text: String::with_capacity(text.len()), count: 0 };
    let mut end = 0;
    let mut last = None;
    for fix in fixes {
        // Two findings may have the same edit, which is an empty range where something is put in.
        if fix.span.start < end || last == Some(&fix.span) {
            continue;
        }
        last = Some(&fix.span);
        fixed.text.push_str(&text[end..fix.span.start]);
        fixed.text.push_str(&fix.replacement);
        fixed.count += 1;
        end = fix.span.end;
    }
    fixed.text.push_str(&text[end..]);
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::SYNTAX;

    #[test]
    fn safe_edits_are_made_once_and_only_they() {
        let fix = |span: std::ops::Range<usize>, replacement: &str, is_safe| {
            SYNTAX.at(0, span.clone(), "").with_fix(span, replacement, is_safe)
        };
        let findings =
            [fix(4..5, "C", true), fix(0..1, "A", true), fix(0..3, "x", true), fix(2..3, "B", false)];
        let fixed = with_safe_fixes("a b c", 0, &findings);
        assert_eq!(fixed, Fixed { text: "A b C".to_owned(), count: 2 });
        assert_eq!(with_safe_fixes("a b c", 1, &findings).count, 0);
    }
}
