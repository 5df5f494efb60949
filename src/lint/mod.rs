//! Lints: `facts` asks the system about what rules name, `lints` is the table, one row a lint.
