//! SARIF 2.1.0 (Static Analysis Results Interchange Format), with fixes.

use std::ops::Range;

use serde_json::{Value, json};

use super::{Region, Report, word};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Fix};
use crate::escape;

/// Where the format is defined.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// All findings as one document.
pub fn sarif(report: &Report<'_>) -> String {
    let mut codes: Vec<&Code> =
        report.findings.iter().filter_map(|finding| Code::from_name(finding.code)).collect();
    codes.sort_by_key(|code| code.name);
    codes.dedup_by_key(|code| code.name);
    let tool = json!({ "driver": {
        "name": "facron",
        "version": env!("CARGO_PKG_VERSION"),
        "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": codes.iter().map(|code| rule(code)).collect::<Vec<_>>(),
    }});
    let mut document = format!(
        "{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{\"tool\":{tool},\"columnKind\":\"unicodeCodePoints\",\"results\":["
    );
    // One at a time: a tree of thousands of results would take more memory than the rules.
    for (index, finding) in report.findings.iter().enumerate() {
        document.push_str(if index > 0 { ",\n" } else { "\n" });
        document.push_str(&escape::json(&result(report, &codes, finding).to_string()));
    }
    document.push_str("\n]}]}\n");
    document
}

fn rule(code: &Code) -> Value {
    json!({
        "id": code.name,
        "shortDescription": { "text": code.title },
        "fullDescription": { "text": code.explanation },
        "defaultConfiguration": { "level": word(code.severity) },
    })
}

fn result(report: &Report<'_>, codes: &[&Code], finding: &Diagnostic) -> Value {
    let mut message = finding.message.clone();
    for more in finding.notes.iter().chain(&finding.help) {
        message.push('\n');
        message.push_str(more);
    }
    let mut result = json!({
        "ruleId": finding.code,
        "level": word(finding.severity),
        "message": { "text": message },
        "locations": report.region_of(finding).map(location).into_iter().collect::<Vec<_>>(),
    });
    if let Some(index) = codes.iter().position(|code| code.name == finding.code) {
        result["ruleIndex"] = index.into();
    }
    if !finding.related.is_empty() {
        let related = finding.related.iter().map(|related| related_location(report, related));
        result["relatedLocations"] = related.collect();
    }
    if let (Some(fix), Some(source)) = (&finding.fix, finding.source) {
        let description = finding.help.as_deref().unwrap_or(&finding.message);
        result["fixes"] = json!([change(report, source, fix, description)]);
    }
    result
}

fn location(region: Region<'_>) -> Value {
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(region.file) },
        "region": area(region),
    }})
}

fn related_location(report: &Report<'_>, (source, span, label): &(usize, Range<usize>, String)) -> Value {
    let mut location = location(report.region(*source, span));
    location["message"] = json!({ "text": label });
    location
}

fn change(report: &Report<'_>, source: usize, fix: &Fix, description: &str) -> Value {
    let region = report.region(source, &fix.span);
    json!({
        "description": { "text": description },
        "artifactChanges": [{
            "artifactLocation": { "uri": uri(region.file) },
            "replacements": [{
                "deletedRegion": area(region),
                "insertedContent": { "text": fix.replacement },
            }],
        }],
    })
}

fn area(region: Region<'_>) -> Value {
    json!({
        "startLine": region.line,
        "startColumn": region.column,
        "endLine": region.end_line,
        "endColumn": region.end_column,
    })
}

/// A path as a URI reference (RFC 3986): what is not plain is written byte by byte.
fn uri(path: &str) -> String {
    let scheme = if path.starts_with('/') { "file://" } else { "" };
    let mut uri = scheme.to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("rules.d/a b.toml"), "rules.d/a%20b.toml");
        assert_eq!(uri("/etc/é"), "file:///etc/%C3%A9");
    }
}
