//! Desktop notifications, sent by a short-lived child so that a silent bus delays nothing.
