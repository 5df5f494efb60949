//! The JSON Schema of the rule file: it is that of the table of keys, and says what the reader says.

use std::fs;
use std::path::Path;

use facron::config::{self, keys};
use facron::diagnostic::{Severity, SourceText};
use serde_json::{Map, Value};

#[test]
#[expect(clippy::disallowed_methods, reason = "the environment is the test's own border")]
fn the_schema_that_is_shipped_is_that_of_the_table_of_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/facron.schema.json");
    let schema = config::schema();
    if std::env::var("FACRON_BLESS").is_ok_and(|value| value == "1") {
        fs::write(&path, &schema).expect("the schema can be written");
    }
    let shipped = fs::read_to_string(&path).expect("the schema is there");
    assert!(shipped == schema, "stale: run `FACRON_BLESS=1 cargo test --test schema`");
}

#[test]
fn every_key_is_described() {
    let schema: Value = serde_json::from_str(&config::schema()).expect("JSON");
    let tables = &schema["properties"];
    for key in keys::rule_keys() {
        let property = &tables["rule"]["items"]["properties"][key.name];
        assert!(
            property["description"].as_str().is_some_and(|text| text.starts_with(key.about)),
            "{}",
            key.name
        );
        assert_eq!(
            tables["defaults"]["properties"].get(key.name).is_some(),
            key.is_in_defaults,
            "{}",
            key.name
        );
    }
    for key in keys::daemon_keys() {
        assert!(tables["daemon"]["properties"].get(key.name).is_some(), "{}", key.name);
    }
}

#[test]
fn reader_and_schema_agree() {
    for (lines, is_right) in [
        ("scope = 'tree'", true),
        ("scope = 'trees'", false),
        ("debounce = '1s'", true),
        ("debounce = 1", false),
        ("on = ['open', ['modify', 'close-write']]", true),
        ("on = ['open', ['modify', 'close']]", false),
        ("on = []", false),
        ("on = 'opn'", false),
        ("include = '*.conf'", true),
        ("include = ['*.conf', 1]", false),
        ("concurrency = 'unlimited'", true),
        ("concurrency = 0", false),
        ("concurrency = 'many'", false),
        ("nice = -20", true),
        ("nice = -21", false),
        ("limits = { nofile = 1024, as = '1GiB' }", true),
        ("limits = { files = 1024 }", false),
        ("env = { A = 'b' }", true),
        ("env = { A = 1 }", false),
        ("output = { file = '/x' }", true),
        ("output = { path = '/x' }", false),
        ("output = 'discard'", true),
        ("user = 1000", true),
        ("user = -1", false),
        ("success-codes = [0, 255]", true),
        ("success-codes = [256]", false),
        ("stop-signal = 'INT'", true),
        ("batch = true", true),
        ("batch = 'true'", false),
        ("deny-errno = 'EIO'", true),
        ("deny-errno = 'ENOENT'", false),
        ("allow = 'F031'", true),
        ("allow = ['F031', 'F073']", true),
        ("allow = 'F014'", false),
        ("allow = ['F070']", false),
        ("allow = 'f031'", false),
        ("allow = 31", false),
        ("unknown = 1", false),
        ("shell = 'true'", false),
    ] {
        let text = format!("[[rule]]\nname = 'r'\npath = '/srv'\ncommand = ['/bin/true']\n{lines}\n");
        agree(&text, is_right);
    }
    agree("[[rule]]\nname = 'r'\npath = '/srv'\n", false);
    agree("[[rule]]\nname = 'r'\ncommand = '/bin/true'\n", false);
    agree("[daemon]\nconcurrency = 1\nlog-level = 'info'\n[defaults]\ntimeout = 'none'\n", true);
    agree("[defaults]\nname = 'r'\n", false);
    agree("[deamon]\n", false);
}

fn agree(text: &str, is_right: bool) {
    let sources = [SourceText { name: "r.toml".into(), text: text.into() }];
    let findings = config::parse(&sources).findings;
    let is_read = findings.iter().all(|finding| finding.severity < Severity::Error);
    assert_eq!(is_read, is_right, "the reader about {text}: {findings:?}");
    let table: toml::Table = toml::from_str(text).expect("TOML");
    let value = serde_json::to_value(table).expect("JSON");
    let schema: Value = serde_json::from_str(&config::schema()).expect("JSON");
    assert_eq!(is_valid(&schema, &schema, &value), is_right, "the schema about {text}");
}

/// The patterns of ours, as far as the texts of this test need them.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    match pattern {
        "^/" => text.starts_with('/'),
        "^[Ff][Aa][Nn]_[A-Za-z_]+$" => upper.starts_with("FAN_"),
        "^[Ss][Ii][Gg][A-Za-z0-9]+$" => upper.starts_with("SIG"),
        other => {
            assert!(
                other.starts_with('^') && other.ends_with('$'),
                "a pattern is about the whole text: {other}"
            );
            true
        }
    }
}

/// As much of JSON Schema as ours uses.
fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(words) = schema else { panic!("a schema is an object: {schema}") };
    words.iter().all(|(word, rule)| match word.as_str() {
        "$ref" => {
            let name =
                rule.as_str().and_then(|name| name.strip_prefix("#/$defs/")).expect("a definition of ours");
            is_valid(root, &root["$defs"][name], value)
        }
        "type" => match rule.as_str().expect("a word") {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64(),
            other => panic!("type {other}"),
        },
        "enum" => rule.as_array().expect("an array").contains(value),
        "const" => rule == value,
        "minimum" => value.as_i64().is_none_or(|number| rule.as_i64().is_some_and(|least| number >= least)),
        "maximum" => value.as_i64().is_none_or(|number| rule.as_i64().is_some_and(|most| number <= most)),
        "minItems" => {
            value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().expect("a number"))
        }
        "minLength" => {
            value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().expect("a number"))
        }
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(root, rule, item))),
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array()
                .expect("an array")
                .iter()
                .all(|key| object.contains_key(key.as_str().expect("a key")))
        }),
        "anyOf" => rule.as_array().expect("an array").iter().any(|one| is_valid(root, one, value)),
        "oneOf" => {
            rule.as_array().expect("an array").iter().filter(|one| is_valid(root, one, value)).count() == 1
        }
        "properties" => value.as_object().is_none_or(|object| {
            let known = rule.as_object().expect("an object");
            object
                .iter()
                .all(|(key, value)| known.get(key).is_none_or(|schema| is_valid(root, schema, value)))
        }),
        "additionalProperties" => {
            value.as_object().is_none_or(|object| additional(root, words, rule, object))
        }
        "pattern" => value.as_str().is_none_or(|text| matches_pattern(rule.as_str().expect("a text"), text)),
        "description" | "default" | "title" | "$schema" | "$id" | "$defs" => true,
        other => panic!("the schema uses `{other}`, which this test does not know"),
    })
}

fn additional(root: &Value, words: &Map<String, Value>, rule: &Value, object: &Map<String, Value>) -> bool {
    let known = words.get("properties").and_then(Value::as_object);
    object.iter().filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key))).all(|(_, value)| {
        match rule {
            Value::Bool(is_allowed) => *is_allowed,
            schema => is_valid(root, schema, value),
        }
    })
}
