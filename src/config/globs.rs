//! `include` and `exclude` as written: globs, compiled once for all rules that have the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::keys::Key;
use super::text::shown;
use super::value::{Value, Values};
use crate::codes::BAD_GLOB;
use crate::diagnostic::boundary_after;
use crate::glob::{Glob, GlobError, TEMPORARY, TEMPORARY_NAME};

/// What was compiled before.
#[derive(Default)]
pub(super) struct Compiled {
    /// By their texts.
    globs: HashMap<String, Glob>,
    /// Lists, by what is written in the rule file. Thousands of rules have the same few.
    lists: HashMap<String, Arc<[Glob]>>,
}

impl Values<'_, '_> {
    /// One glob or several; equal ones are compiled once, and equal lists are one.
    pub fn globs(&mut self, key: &Key, value: &Value<'_>) -> Option<Arc<[Glob]>> {
        let written = self.text.get(value.span()).unwrap_or_default();
        if let Some(list) = self.compiled.lists.get(written) {
            return Some(Arc::clone(list));
        }
        let globs = self.list(value, |values, item| values.glob(key, item))?;
        let list: Arc<[Glob]> = globs.into_iter().flatten().collect();
        self.compiled.lists.insert(written.to_owned(), Arc::clone(&list));
        Some(list)
    }

    /// A glob, or those that `@temporary` stands for.
    fn glob(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<Glob>> {
        let text = self.string(key, value)?;
        let texts = if text == TEMPORARY_NAME { TEMPORARY } else { &[text][..] };
        let compiled: Result<Vec<Glob>, GlobError> = texts
            .iter()
            .map(|text| match self.compiled.globs.get(*text) {
                Some(glob) => Ok(glob.clone()),
                None => {
                    let glob = Glob::parse(text)?;
                    self.compiled.globs.insert((*text).to_owned(), glob.clone());
                    Ok(glob)
                }
            })
            .collect();
        match compiled {
            Ok(globs) => Some(globs),
            Err(error) => {
                let end = boundary_after(text, error.offset + 1);
                let span = self.inside(value, error.offset..end);
                let finding = self.at(BAD_GLOB, span, format!("{} is no glob: {error}", shown(text)));
                self.report(finding);
                None
            }
        }
    }
}
