//! Paths of classic tables: absolute, cleaned, as text.

use std::borrow::Cow;

/// The path without `//`, `/./`, `..` and a trailing `/`; borrowed if it was clean. `..` goes by the text: what
/// a symbolic link before it would change cannot be known here.
pub fn clean(path: &str) -> Cow<'_, str> {
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    let cleaned = format!("/{}", components.join("/"));
    if cleaned == path { Cow::Borrowed(path) } else { Cow::Owned(cleaned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_loses_what_does_not_count() {
        for (path, expected) in [
            ("/srv/f", "/srv/f"),
            ("/srv//f/", "/srv/f"),
            ("/srv/./d/../f", "/srv/f"),
            ("/../..", "/"),
            ("/", "/"),
            ("/srv/...", "/srv/..."),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }
}
