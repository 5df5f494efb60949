//! `facron import`: the corpora of classic lines, tables in all their variety, and the binary.

mod behaviour;
mod classic_facron;
mod classic_incron;
mod corpus;
mod facron;
mod hostile;
mod incron;
mod manual;
mod program;
mod roundtrip;
mod strict;
