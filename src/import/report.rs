//! What is said after an import: the summary, and for every line what it said, did and does.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Severity};

use super::codes::Code;
use super::{Fate, Import, TranslatedLine};

/// How many lines became what, and why; what to do next, with the rule file at `destination`.
pub fn summary(import: &Import, destination: Option<&str>) -> String {
    let mut counts = BTreeMap::new();
    for line in &import.lines {
        *counts.entry(Verdict::of(import, line)).or_default() += 1;
    }
    let part = |verdict, word| {
        let count: usize = counts.get(&verdict).copied().unwrap_or_default();
        format!("{count} {word}{}", reasons(import, verdict))
    };
    let translated = part(Verdict::Translated, "translated");
    let changed = part(Verdict::Changed, "changed");
    let refused = part(Verdict::Refused, "refused");
    if !import.lines.iter().any(|line| matches!(line.fate, Fate::Rules(_))) {
        return format!(
            "{translated}, {changed}, {refused}\nhelp: there is no rule to run: the classic daemon stays until there is\n"
        );
    }
    let file = destination.unwrap_or("FILE");
    let save = if destination.is_none() { "save the rules to FILE, " } else { "" };
    let look = if import.is_faithful() { "" } else { "look at every line above, " };
    format!(
        "{translated}, {changed}, {refused}\nhelp: {save}{look}try `facron check -c {file}`, \
         stop the classic daemon, and start `facron run -c {file}`\n"
    )
}

/// What the summary counts a line as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// It never was a rule.
    None,
    Translated,
    Changed,
    Refused,
}

impl Verdict {
    fn of(import: &Import, line: &TranslatedLine) -> Verdict {
        let is_changed = import.findings_of(line).iter().any(|finding| finding.severity > Severity::Note);
        match &line.fate {
            Fate::Blank | Fate::Comment => Verdict::None,
            Fate::Rules(_) if is_changed => Verdict::Changed,
            Fate::Rules(_) => Verdict::Translated,
            Fate::Refused => Verdict::Refused,
        }
    }
}

/// Why lines were changed or refused: each code with how many lines it is about.
fn reasons(import: &Import, verdict: Verdict) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in import.lines.iter().filter(|line| Verdict::of(import, line) == verdict) {
        let worst = import.findings_of(line).iter().map(|finding| finding.severity).max();
        let is_reason =
            |finding: &&Diagnostic| Some(finding.severity) == worst && finding.severity > Severity::Note;
        let codes: BTreeSet<&str> =
            import.findings_of(line).iter().filter(is_reason).map(|finding| finding.code).collect();
        for code in codes {
            *counts.entry(code).or_default() += 1;
        }
    }
    let reasons: Vec<String> = counts
        .into_iter()
        .map(|(code, count)| match (count, Code::from_name(code).map_or("", |row| row.title)) {
            (1, title) => format!("{code} {title}"),
            (_, title) => format!("{code} {title}, {count} lines"),
        })
        .collect();
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) }
}

/// For every line that is not empty: what it said, what the classic daemon did, what happens with facron.
pub fn explain(import: &Import) -> String {
    let mut text = String::new();
    for line in import.lines.iter().filter(|line| line.fate != Fate::Blank) {
        let now = match &line.fate {
            Fate::Blank | Fate::Comment => "a comment".to_owned(),
            Fate::Rules(rules) => {
                let rules = rules.iter().map(|rule| format!("rule {}: {}", rule.name, rule.does));
                rules.collect::<Vec<_>>().join("\n        ")
            }
            Fate::Refused => "refused".to_owned(),
        };
        let codes: BTreeSet<&str> = import.findings_of(line).iter().map(|finding| finding.code).collect();
        let rows: Vec<&Code> = codes.into_iter().filter_map(Code::from_name).collect();
        let mut did: Vec<String> = rows.iter().map(|row| format!("{} ({})", row.did, row.name)).collect();
        if did.is_empty() {
            did.push(if line.fate == Fate::Comment { "nothing" } else { "what it said" }.to_owned());
        }
        let mut does = vec![now];
        does.extend(rows.iter().map(|row| format!("{} ({})", row.now, row.name)));
        text.push_str(&format!("{}:{}\n", import.sources[line.source].name, line.number));
        text.push_str(&format!("  said  {}\n", line.said));
        text.push_str(&format!("  did   {}\n", did.join("\n        ")));
        text.push_str(&format!("  now   {}\n\n", does.join("\n        ")));
    }
    text
}

impl Import {
    /// The findings of a line.
    pub fn findings_of(&self, line: &TranslatedLine) -> &[Diagnostic] {
        &self.findings[line.findings.clone()]
    }
}
