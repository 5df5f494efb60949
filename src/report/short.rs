//! One line a finding, `file:line:column: error[F002]: …`, as editors and `grep -n` have it.

use std::fmt::Write as _;

use super::{Report, word};
use crate::escape;

/// Every finding.
pub fn short(report: &Report<'_>) -> String {
    let mut lines = String::new();
    for finding in report.findings {
        let place = match report.region_of(finding) {
            Some(region) => format!("{}:{}:{}: ", region.file, region.line, region.column),
            None => "facron: ".to_owned(),
        };
        let message = escape::line(&finding.message);
        let help =
            finding.help.as_deref().map(|help| format!("; {}", escape::line(help))).unwrap_or_default();
        let mut related = String::new();
        for (source, span, label) in &finding.related {
            let region = report.region(*source, span);
            write!(related, "; {}: {}:{}:{}", escape::line(label), region.file, region.line, region.column)
                .expect("a String takes everything");
        }
        let severity = word(finding.severity);
        writeln!(lines, "{place}{severity}[{}]: {message}{related}{help}", finding.code)
            .expect("a String takes everything");
    }
    lines
}
