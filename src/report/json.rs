//! One JSON object a finding, a line each.

use serde::Serialize;

use super::{Region, Report, word};
use crate::diagnostic::Fix;
use crate::escape;

/// A finding; the names of the fields are a contract.
#[derive(Serialize)]
struct Line<'r> {
    file: Option<&'r str>,
    line: Option<usize>,
    column: Option<usize>,
    severity: &'static str,
    code: &'static str,
    message: &'r str,
    help: Option<&'r str>,
    fix: Option<Edit<'r>>,
}

/// An edit: what stands from the first place up to the second is replaced.
#[derive(Serialize)]
struct Edit<'r> {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    replacement: &'r str,
    safe: bool,
}

/// Every finding.
pub fn json(report: &Report<'_>) -> String {
    let mut lines = String::new();
    for finding in report.findings {
        let region = report.region_of(finding);
        let edit = |fix: &Fix, source: usize| report.region(source, &fix.span);
        let line = Line {
            file: region.map(|region| region.file),
            line: region.map(|region| region.line),
            column: region.map(|region| region.column),
            severity: word(finding.severity),
            code: finding.code,
            message: &finding.message,
            help: finding.help.as_deref(),
            fix: finding.fix.as_ref().zip(finding.source).map(|(fix, source)| edited(fix, edit(fix, source))),
        };
        let text = serde_json::to_string(&line).expect("texts and numbers are JSON");
        lines.push_str(&escape::json(&text));
        lines.push('\n');
    }
    lines
}

fn edited<'r>(fix: &'r Fix, region: Region<'_>) -> Edit<'r> {
    Edit {
        line: region.line,
        column: region.column,
        end_line: region.end_line,
        end_column: region.end_column,
        replacement: &fix.replacement,
        safe: fix.is_safe,
    }
}
