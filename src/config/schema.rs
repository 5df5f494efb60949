//! The table of keys as a JSON Schema (draft 2020-12), so that editors complete and check rule files.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind, Preset};
use crate::codes::CODES;
use crate::event::{EVENTS, SETS};
use crate::rule::RESOURCES;
use crate::signal::SIGNALS;

/// The schema of a rule file, as text.
pub fn schema() -> String {
    let mut rule = table(keys::rule_keys());
    rule["required"] = json!(["name", "path"]);
    rule["oneOf"] = json!([{ "required": ["command"] }, { "required": ["shell"] }]);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": concat!(env!("CARGO_PKG_REPOSITORY"), "/raw/main/config/facron.schema.json"),
        "title": "facron rule file",
        "description": "What facron watches and what it runs; see facron.toml(5).",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "daemon": described(table(keys::daemon_keys()), "Settings of the daemon as a whole."),
            "defaults": described(table(keys::default_keys()), "Keys for every rule of this file that does not have them."),
            "rule": { "type": "array", "items": rule, "description": "The rules." },
        },
        "$defs": definitions(),
    });
    format!("{schema:#}\n")
}

fn table<'k>(keys: impl Iterator<Item = &'k Key>) -> Value {
    let properties: Map<String, Value> = keys.map(|key| (key.name.to_owned(), property(key))).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

fn property(key: &Key) -> Value {
    let mut property = of_kind(key.kind);
    let mut description = key.about.to_owned();
    if let Kind::Word(words) = key.kind {
        for (word, about) in words.words() {
            description.push_str(&format!("\n{word}: {about}"));
        }
    }
    match key.preset {
        Preset::Required => {}
        Preset::Value(value) => property["default"] = preset(value),
        Preset::Otherwise(what) => description.push_str(&format!("\nDefault: {what}")),
    }
    described(property, &description)
}

/// A default, from TOML to JSON.
fn preset(value: &str) -> Value {
    let table: toml::Table = toml::from_str(&format!("value = {value}")).expect("the table of keys has TOML");
    serde_json::to_value(&table["value"]).expect("the defaults of the table of keys are JSON too")
}

fn definitions() -> Value {
    let events: Vec<&str> = EVENTS.iter().map(|kind| kind.name).collect();
    let sets: Vec<&str> = SETS.iter().map(|set| set.name).collect();
    let codes: Vec<&str> = CODES.iter().filter(|code| code.can_be_allowed()).map(|code| code.name).collect();
    let classic = json!({ "type": "string", "pattern": "^[Ff][Aa][Nn]_[A-Za-z_]+$" });
    json!({
        "path": { "type": "string", "pattern": "^/" },
        "glob": { "type": "string", "minLength": 1 },
        "duration": { "type": "string", "pattern": "^\\s*([0-9]+(\\.[0-9]+)?\\s*[a-zµ]+\\s*)+$" },
        "identity": { "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "integer", "minimum": 0, "maximum": 4_294_967_294_u32 },
        ]},
        "variable": { "type": "string", "pattern": "^[^=]+$" },
        "code": { "enum": codes },
        "exit-code": { "type": "integer", "minimum": 0, "maximum": 255 },
        "event": { "anyOf": [{ "enum": events }, classic] },
        "event-or-set": { "anyOf": [{ "enum": sets }, { "$ref": "#/$defs/event" }] },
        "all-of": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/event" } },
    })
}

fn of_kind(kind: Kind) -> Value {
    match kind {
        Kind::Name => json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Path => reference("path"),
        Kind::Paths => one_or_many("path"),
        Kind::Globs => one_or_many("glob"),
        Kind::Events => json!({ "anyOf": [
            { "$ref": "#/$defs/event-or-set" },
            { "type": "array", "minItems": 1, "items": { "anyOf": [
                { "$ref": "#/$defs/event-or-set" },
                { "$ref": "#/$defs/all-of" },
            ]}},
        ]}),
        Kind::Word(words) => {
            json!({ "enum": words.words().iter().map(|(word, _)| *word).collect::<Vec<_>>() })
        }
        Kind::Duration { word, .. } => or_word(reference("duration"), word),
        Kind::Integer { min, max, word } => {
            or_word(json!({ "type": "integer", "minimum": min, "maximum": max }), word)
        }
        Kind::StartLimit => json!({ "type": "string", "pattern": "^(none|\\s*[1-9][0-9]*\\s*/.+)$" }),
        Kind::Command => json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "minItems": 1, "items": { "type": "string" } },
        ]}),
        Kind::Identity => reference("identity"),
        Kind::Identities => one_or_many("identity"),
        Kind::Umask => json!({ "type": "string", "pattern": "^0{0,2}[0-7]{1,3}$" }),
        Kind::Limits => {
            let limit = json!({ "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^(unlimited|[0-9]+ *([KMGT](iB)?|B)?)$" },
            ]});
            let properties: Map<String, Value> = RESOURCES
                .iter()
                .map(|(name, _, about)| ((*name).to_owned(), described(limit.clone(), about)))
                .collect();
            json!({ "type": "object", "additionalProperties": false, "properties": properties })
        }
        Kind::Environment => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Variables => one_or_many("variable"),
        Kind::Output => json!({ "anyOf": [
            { "enum": ["log", "discard"] },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["file"],
                "properties": { "file": { "$ref": "#/$defs/path" } },
            },
        ]}),
        Kind::Signal => json!({ "anyOf": [
            { "enum": SIGNALS.iter().map(|(name, _)| *name).collect::<Vec<_>>() },
            { "type": "string", "pattern": "^[Ss][Ii][Gg][A-Za-z0-9]+$" },
        ]}),
        Kind::ExitCodes => one_or_many("exit-code"),
        Kind::Codes => one_or_many("code"),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn one_or_many(name: &str) -> Value {
    json!({ "anyOf": [reference(name), { "type": "array", "items": reference(name) }] })
}

fn or_word(schema: Value, word: Option<&str>) -> Value {
    match word {
        Some(word) => json!({ "anyOf": [schema, { "const": word }] }),
        None => schema,
    }
}
