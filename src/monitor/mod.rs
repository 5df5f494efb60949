//! The monitor: fanotify groups and marks; kernel records become events of rules; rescans; mounts.
