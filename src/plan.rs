//! From rules to the places that have to be marked, and from two plans to the difference. Pure.
