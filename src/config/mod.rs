//! Rule files: as written (`document`), then as meant (`lower`), by the one table of keys (`keys`). Texts only.
