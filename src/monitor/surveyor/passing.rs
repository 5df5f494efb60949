//! What is told of a path that leads elsewhere since a link on its way was made, switched or removed.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use super::super::traffic::{Change, Message, Over};
use super::Surveyor;
use super::root::Standing;
use super::trail::{Link, Place, Scout};
use super::walk::Report;
use crate::matcher::RootId;
use crate::sys::place;

impl Surveyor {
    /// Tells of a path that led to something and leads nowhere now, where no event can have told of it: what it led
    /// to is still there, but a link on the way leads elsewhere. Nothing is told of what was moved away or unmounted
    /// together with the directory that it is in: it was not removed.
    ///
    /// `gone`: the link that was the path's own entry, and is not any more; of that an event has told.
    pub(super) fn report_loss(
        &mut self,
        id: RootId,
        before: Option<Arc<Standing>>,
        gone: Option<&Link>,
    ) -> Result<(), Over> {
        let (path, key, name) = match before.as_deref() {
            Some(Standing::File { parent: (path, key), name, .. }) => (path, key, Some(name)),
            Some(Standing::Directory { path, key, .. }) => (path, key, None),
            Some(Standing::Missing | Standing::Foreign(_) | Standing::Refused) | None => return Ok(()),
        };
        let has_site = |path: &Path| self.index.attachments(id).iter().any(|other| *other.directory == *path);
        let mounts = self.mounts.clone();
        let mut scout = Scout::new(&mounts, None);
        if let Some(Link { parent: (path, key), .. }) = gone
            && has_site(path)
            && scout.directory(path).is_ok_and(|place| place.key() == *key)
        {
            return Ok(());
        }
        let Some(place) = scout.directory(path).ok().filter(|place| place.key() == *key) else {
            return Ok(());
        };
        let is_file_there =
            name.is_some_and(|name| place::status_at(place.fd.as_fd(), Path::new(name)).is_ok());
        match is_file_there || !has_site(path) {
            true => self.outbox.tell(Message::Lost(id, name.is_none())),
            false => Ok(()),
        }
    }

    /// Tells of a link to a file that is there now; gives the report back, if the file is to be told of as well. An
    /// event may have told of the link and of nothing later: the file was not watched before.
    pub(super) fn report_link(
        &mut self,
        link: &Link,
        parent: &Place,
        name: &Path,
        report: Report,
    ) -> Result<Option<Report>, Over> {
        let mounts = self.mounts.clone();
        let Ok(place) = Scout::new(&mounts, self.realm.as_deref()).directory(&link.parent.0) else {
            return Ok(Some(report));
        };
        let own = place::status_at(place.fd.as_fd(), Path::new(&link.name));
        let file = place::status_at(parent.fd.as_fd(), name);
        // Two clocks cannot be compared.
        let is_old = self.realm.is_none()
            && !self.is_held(parent, name)
            && own.is_ok_and(|own| file.is_ok_and(|file| file.changed < own.changed));
        self.report_entry(&place, Path::new(&link.name), Change::Arrived, report.clone())?;
        Ok((!is_old).then_some(report))
    }
}
