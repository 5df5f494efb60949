//! What must outlive the process: what waits, and when each rule was last watched.
