//! What the child does: shows each letter by the notification service of its session, and says how it went.
//!
//! It may hang at any call: D-Bus has no limit that holds. So it sets itself an alarm, and the daemon kills it before.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

use notify_rust::Notification;

use super::notice::{Letter, Sent, Urgency};

/// In case that the daemon is gone and cannot kill us any more.
const ALARM_SECONDS: u32 = 10;

/// What may come in.
const INPUT_BYTES_MAX: u64 = 1 << 20;

const SERVICE: &str = "org.freedesktop.Notifications";

/// Shows the letters of `input`, a line each, and answers on `output`, a line each.
///
/// # Errors
/// The input is no letter, or the output is gone.
pub fn run(input: impl Read, mut output: impl Write) -> io::Result<()> {
    nix::unistd::alarm::set(ALARM_SECONDS);
    let letters: Vec<Letter> = io::BufReader::new(input.take(INPUT_BYTES_MAX))
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<io::Result<_>>()?;
    let mut answer = |sent: &Sent| writeln!(output, "{}", serde_json::to_string(sent)?);
    match zbus::block_on(is_service_there()) {
        Ok(true) => {}
        Ok(false) => return answer(&Sent::NoService),
        Err(error) => return answer(&Sent::Failed(error.to_string())),
    }
    let mut shown = BTreeMap::new();
    for letter in letters {
        let replaces = shown.get(&letter.key).copied().unwrap_or(letter.replaces);
        match show(&letter, replaces) {
            Ok(id) => {
                shown.insert(letter.key.clone(), id);
                answer(&Sent::Shown { key: letter.key, id })?;
            }
            Err(error) => answer(&Sent::Failed(error.to_string()))?,
        }
    }
    Ok(())
}

/// Asked first, since a notification would start a service where none runs, and wait for it up to two minutes.
async fn is_service_there() -> zbus::Result<bool> {
    let connection = zbus::Connection::session().await?;
    let bus = "org.freedesktop.DBus";
    let reply = connection
        .call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "NameHasOwner", &(SERVICE,))
        .await;
    match reply {
        Ok(reply) => reply.body().deserialize(),
        // A bus without this method is no bus that would start anything.
        Err(zbus::Error::MethodError(..)) => Ok(true),
        Err(error) => Err(error),
    }
}

fn show(letter: &Letter, replaces: u32) -> notify_rust::error::Result<u32> {
    let (urgency, icon) = match letter.urgency {
        Urgency::Low => (notify_rust::Urgency::Low, "dialog-information"),
        Urgency::Normal => (notify_rust::Urgency::Normal, "dialog-error"),
        Urgency::Critical => (notify_rust::Urgency::Critical, "dialog-error"),
    };
    let mut notification = Notification::new();
    notification.appname("facron").summary(&letter.summary).body(&letter.body).icon(icon).urgency(urgency);
    if replaces != 0 {
        notification.id(replaces);
    }
    Ok(notification.show()?.id())
}
