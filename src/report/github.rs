//! Annotations for GitHub Actions: workflow commands, one a finding.

use std::fmt::Write as _;

use super::Report;
use crate::diagnostic::Severity;
use crate::escape;

/// Every finding.
pub fn github(report: &Report<'_>) -> String {
    let mut lines = String::new();
    for finding in report.findings {
        let command = match finding.severity {
            Severity::Note => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let place = report.region_of(finding).map_or_else(String::new, |region| {
            format!("file={},line={},col={},", property(region.file), region.line, region.column)
        });
        let mut message = escape::line(&finding.message).into_owned();
        if let Some(help) = &finding.help {
            message.push_str("\nhelp: ");
            message.push_str(&escape::line(help));
        }
        writeln!(lines, "::{command} {place}title=facron {}::{}", finding.code, data(&message))
            .expect("a String takes everything");
    }
    lines
}

/// A message: it may have several lines.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property, where `:` and `,` have a meaning too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
