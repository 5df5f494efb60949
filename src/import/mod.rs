//! Classic tables: lines as written become rules, then a commented rule file, with a finding for every line
//! whose meaning changes.
