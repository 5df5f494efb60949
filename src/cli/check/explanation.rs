//! What a code or a key means, at length.

use crate::codes::Code;
use crate::config::keys::{KEYS, Key, Kind, Preset, Section};
use crate::diagnostic::Severity;
use crate::import;

/// Characters of a line.
const WIDTH: usize = 80;

/// The explanation of a code, or of every key of a name; none: there is neither.
pub fn explanation(word: &str) -> Option<String> {
    if let Some(code) = Code::from_name(word) {
        let allow = format!("Where it is meant, the rule says so: allow = [\"{}\"].", code.name);
        let paragraphs = [code.explanation, &allow];
        let count = if code.can_be_allowed() { 2 } else { 1 };
        return Some(of_code(code.name, code.severity, code.title, &paragraphs[..count]));
    }
    if let Some(code) = import::Code::from_name(word) {
        return Some(of_code(code.name, code.severity, code.title, &[code.did, code.now]));
    }
    let keys: Vec<String> = KEYS.iter().filter(|key| key.name == word).map(of_key).collect();
    (!keys.is_empty()).then(|| keys.join("\n"))
}

fn of_code(name: &str, severity: Severity, title: &str, explanation: &[&str]) -> String {
    let severity = match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let paragraphs: Vec<String> = explanation.iter().map(|text| wrapped(text)).collect();
    format!("{name} ({severity}): {title}\n\n{}\n", paragraphs.join("\n\n"))
}

fn of_key(key: &Key) -> String {
    let table = if key.section == Section::Daemon { "[daemon]" } else { "[[rule]]" };
    let mut text = format!("{} in {table} ({})\n\n{}\n", key.name, key.section.title(), wrapped(key.about));
    text.push_str(&format!("\ntakes    {}\n", key.kind.expected()));
    text.push_str(&match key.preset {
        Preset::Required => "required\n".to_owned(),
        Preset::Value(value) => format!("default  {value}\n"),
        Preset::Otherwise(what) => format!("default  {what}\n"),
    });
    if let Kind::Word(words) = key.kind {
        let words = words.words();
        let width = words.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
        text.push('\n');
        for (word, about) in words {
            text.push_str(&format!("  {word:width$}  {about}\n"));
        }
    }
    text
}

/// A text in lines that fit a terminal.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let len = word.chars().count();
        if column > 0 && column + 1 + len > WIDTH {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += len;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::CODES;

    #[test]
    fn every_code_and_every_key_is_explained() {
        for code in CODES {
            assert!(explanation(code.name).is_some_and(|text| text.contains(code.title)), "{}", code.name);
        }
        for code in import::CODES {
            assert!(explanation(code.name).is_some_and(|text| text.contains(code.title)), "{}", code.name);
        }
        for key in KEYS {
            assert!(explanation(key.name).is_some_and(|text| text.contains("takes")), "{}", key.name);
        }
        let concurrency = explanation("concurrency").expect("a key");
        assert!(concurrency.contains("[[rule]]") && concurrency.contains("[daemon]"));
        assert_eq!(explanation("F999"), None);
    }

    #[test]
    fn lines_fit_a_terminal() {
        let text = CODES.iter().map(|code| explanation(code.name).expect("a code")).collect::<String>();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
