//! The supervisor: starts runs, pumps their output, stops whole process trees, knows which process belongs to
//! which run.
