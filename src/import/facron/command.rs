//! The command of a line of facron.conf: words that were passed to execv(2) as they are, but for whole tokens.

use std::path::Path;

use crate::import::Surroundings;
use crate::import::allow;
use crate::import::codes;
use crate::import::findings::Findings;
use crate::import::program;
use crate::import::table::{Line, shown};
use crate::template::{CLASSIC_TOKENS, ClassicToken};

use super::mask;
use super::words::Word;

/// More words than this were read as something else.
const WORDS_MAX: usize = 511;

/// Words that a shell would understand, and that no command wants.
const SHELL_WORDS: &[&[u8]] =
    &[b"|", b"||", b"&", b"&&", b";", b">", b">>", b"<", b"<<", b"2>&1", b"2>", b"&>", b">&2", b"1>&2"];

/// The arguments as the rule file has them; none: the reasons are among the findings.
pub fn parse(
    line: &Line<'_>,
    words: &[Word<'_>],
    surroundings: &dyn Surroundings,
    findings: &mut Findings,
) -> Option<Vec<String>> {
    let Some((first, last)) = words.first().zip(words.last()) else {
        let end = line.bytes.trim_ascii_end().len();
        findings.push(&codes::NO_COMMAND, line.at(end..end), "the line ends before its command", None);
        return None;
    };
    if words.len() > WORDS_MAX {
        let message = format!("{} words, more than the 511 of classic facron", words.len());
        findings.push(&codes::TOO_LONG, line.at(first.range.start..last.range.end), message, None);
        return None;
    }
    if last.bytes == b"\\" && !last.is_quoted {
        let message = "the line ends in a backslash, which never joined it to the next";
        let help = "write the command on one line".to_owned();
        findings.push(&codes::CONTINUATION, line.at(last.range.clone()), message, Some(help));
        return None;
    }
    let texts = texts(line, words, findings)?;
    let program = find_program(line, first, texts[0], surroundings, findings);
    for (word, text) in words.iter().zip(&texts).skip(1) {
        remark(line, word, text, findings);
    }
    // Tokens stay as they are.
    let first = program.as_deref().unwrap_or(texts[0]);
    let arguments = std::iter::once(first).chain(texts[1..].iter().copied());
    let arguments: Vec<String> = arguments.map(program::literal).collect();
    refuse_program_text(line, words, &texts, &arguments, findings);
    program.map(|_| arguments)
}

/// Says that a word follows a quote without a blank.
pub fn say_glued(line: &Line<'_>, word: &Word<'_>, findings: &mut Findings) {
    let message = format!("`{}` follows a quote without a blank", shown(word.bytes));
    findings.push(&codes::GLUED_QUOTE, line.at(word.range.clone()), message, None);
}

fn texts<'l>(line: &Line<'_>, words: &[Word<'l>], findings: &mut Findings) -> Option<Vec<&'l str>> {
    let mut is_good = true;
    let mut texts = Vec::with_capacity(words.len());
    for word in words {
        match std::str::from_utf8(word.bytes) {
            Ok(text) => texts.push(text),
            Err(_) => {
                let message = format!("the argument `{}` is not UTF-8", shown(word.bytes));
                findings.push(&codes::NOT_UTF8, line.at(word.range.clone()), message, None);
                is_good = false;
            }
        }
    }
    is_good.then_some(texts)
}

/// The program by its absolute path.
fn find_program(
    line: &Line<'_>,
    word: &Word<'_>,
    text: &str,
    surroundings: &dyn Surroundings,
    findings: &mut Findings,
) -> Option<String> {
    let range = line.at(word.range.clone());
    let said = shown(word.bytes);
    if !word.is_quoted && (text.starts_with(['|', ',']) || mask::is_mask(word.bytes)) {
        let message = format!("`{said}` stands where the program belongs");
        let help = "write the events without blanks: FAN_OPEN,FAN_MODIFY".to_owned();
        findings.push(&codes::SPACED_SEPARATOR, range, message, Some(help));
        return None;
    }
    if token(text).is_some() {
        let message = format!("`{said}` as the program runs the very file that changed");
        let help = "name a program, and give it the file as an argument".to_owned();
        findings.push(&codes::PROGRAM_IS_NAME, range, message, Some(help));
        return None;
    }
    if text.starts_with('/') && program::is_name(text) {
        if program::is_directory(text, surroundings) {
            let help = "write the program that was meant".to_owned();
            findings.push(&codes::PROGRAM_NOT_FOUND, range, format!("`{said}` is a directory"), Some(help));
            return None;
        }
        return Some(text.to_owned());
    }
    let found = match text.contains('/') {
        // A service manager starts its daemons in `/`, and classic facron stayed where it was started.
        true => Some(format!("/{}", text.trim_start_matches("./")))
            .filter(|path| surroundings.is_program(Path::new(path))),
        false if text.is_empty() => None,
        false => program::find(text, program::DAEMON_PATH, surroundings),
    };
    match &found {
        Some(path) => {
            let message = format!("the program `{said}` becomes `{}`", shown(path.as_bytes()));
            findings.push(&codes::PROGRAM_FOUND, range, message, None);
        }
        None => {
            let place = if text.contains('/') { "/" } else { program::DAEMON_PATH };
            let message = match text.starts_with('/') {
                true => format!("`{said}` is no program"),
                false => format!("the program `{said}` is not absolute, and not found in {place}"),
            };
            let help = "write its absolute path".to_owned();
            findings.push(&codes::PROGRAM_NOT_FOUND, range, message, Some(help));
        }
    }
    found
}

/// A token that a shell or another interpreter would read as its program.
fn refuse_program_text(
    line: &Line<'_>,
    words: &[Word<'_>],
    texts: &[&str],
    arguments: &[String],
    findings: &mut Findings,
) {
    let shell_text = program::shell_text(texts).filter(|index| token(texts[*index]).is_some());
    let Some(index) = shell_text.or_else(|| allow::program_text(arguments)) else { return };
    let message = format!("`{}` is given `{}` as its program", program::base(texts[0]), texts[index]);
    let help = "give it a text of its own, which takes the name as an argument, such as \"$1\" of a shell";
    findings.push(
        &codes::NAME_AS_PROGRAM_TEXT,
        line.at(words[index].range.clone()),
        message,
        Some(help.to_owned()),
    );
}

/// Says what may surprise about an argument.
fn remark(line: &Line<'_>, word: &Word<'_>, text: &str, findings: &mut Findings) {
    let range = line.at(word.range.clone());
    let said = shown(word.bytes);
    match token(text) {
        Some(ClassicToken::CounterUp | ClassicToken::CounterDown | ClassicToken::Counter) => {
            let message = format!("`{said}` is a counter of the daemon");
            findings.push(&codes::COUNTER, range.clone(), message, None);
        }
        Some(ClassicToken::Path | ClassicToken::Dir | ClassicToken::Name | ClassicToken::Pid) => {}
        None if CLASSIC_TOKENS.iter().any(|(name, ..)| text.contains(name)) => {
            let message = format!("`{said}` has a token inside, which is not replaced");
            let help = "a placeholder is replaced anywhere in an argument, such as {path}, {dir} or {name}";
            findings.push(&codes::PARTIAL_TOKEN, range.clone(), message, Some(help.to_owned()));
        }
        None => {}
    }
    if word.is_glued {
        say_glued(line, word, findings);
    }
    if word.is_quoted {
        return;
    }
    if text.starts_with('#') {
        let message = format!("`{said}` begins no comment here");
        findings.push(&codes::HASH_ARGUMENT, range.clone(), message, None);
    }
    if SHELL_WORDS.contains(&word.bytes) {
        let message = format!("`{said}` is an argument: no shell reads it");
        findings.push(&codes::SHELL_ARGUMENT, range.clone(), message, None);
    }
    if text.contains('\\') {
        let message = format!("the backslash in `{said}` stands for itself");
        findings.push(&codes::BACKSLASH, range, message, None);
    }
}

fn token(text: &str) -> Option<ClassicToken> {
    CLASSIC_TOKENS.iter().find(|(name, ..)| *name == text).map(|(_, token, _)| *token)
}
