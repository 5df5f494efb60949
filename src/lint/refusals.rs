//! What keeps rules from being armed though their text is right: it depends on the system. `check` shows these as
//! errors, and the daemon refuses them at load.

use std::collections::BTreeMap;

use super::facts::{Account, Facts};
use crate::codes::BAD_IDENTITY;
use crate::config::WrittenRule;
use crate::config::keys::KeyId;
use crate::diagnostic::Diagnostic;
use crate::rule::Identity;

/// Errors of all rules, in no order.
pub fn refusals(rules: &[WrittenRule], facts: &dyn Facts) -> Vec<Diagnostic> {
    let mut asked = Asked { facts, accounts: BTreeMap::new() };
    rules.iter().flat_map(|written| asked.identities(written)).collect()
}

/// Every user and group is asked for once: thousands of rules name the same few.
struct Asked<'f> {
    facts: &'f dyn Facts,
    accounts: BTreeMap<(KeyId, Identity), Account>,
}

impl Asked<'_> {
    fn account(&mut self, key: KeyId, identity: &Identity) -> Account {
        let facts = self.facts;
        *self.accounts.entry((key, identity.clone())).or_insert_with(|| match key {
            KeyId::Group => facts.group(identity),
            _ => facts.user(identity),
        })
    }

    fn identities(&mut self, written: &WrittenRule) -> Vec<Diagnostic> {
        let setting = &written.rule.setting;
        let (own_user, own_group) = self.facts.own_ids();
        let mut findings = Vec::new();
        for (key, identity, own) in
            [(KeyId::User, &setting.user, own_user), (KeyId::Group, &setting.group, own_group)]
        {
            let Some(identity) = identity else { continue };
            let account = match (self.account(key, identity), identity) {
                // A number needs no name.
                (Account::Unknown, Identity::Id(id)) => Account::Known(*id),
                (account, _) => account,
            };
            let noun = key.key().name;
            let shown = shown(identity);
            let message = match account {
                Account::Unknown => format!("there is no {noun} {shown}"),
                Account::Known(id) if own_user != 0 && id != own => {
                    format!("only root can run a command as another {noun} than its own: {shown}")
                }
                Account::Known(_) | Account::Unclear => continue,
            };
            findings.push(BAD_IDENTITY.at(written.source, written.span(key), message));
        }
        findings
    }
}

fn shown(identity: &Identity) -> String {
    match identity {
        Identity::Name(name) => format!("`{name}`"),
        Identity::Id(id) => id.to_string(),
    }
}
