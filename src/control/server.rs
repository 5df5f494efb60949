//! The daemon's end of the control socket: at most so many clients, each with its deadline, none waited for.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::client::{Client, Next};
use super::{Decision, Place, PlaceError, Response, Verb};
use crate::moment::Moment;
use crate::sys::local;
use crate::sys::poller::{Interest, Poller};

/// Connections at once; an idle one makes room for another.
pub const CLIENTS_MAX: usize = 32;

/// Of these, the ones that may follow: however many follow, `status` is answered.
pub const FOLLOWERS_MAX: usize = 16;

/// Answers that wait to be read, of all clients together.
const OUTPUT_BYTES_MAX: usize = 32 << 20;

/// Connections taken in one go, so that a flood of them does not keep the loop from its work.
const ACCEPTS_MAX: usize = 16;

/// How long no connection is taken after the system had no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The listening socket's token; clients count from 1.
const LISTENER: u64 = 0;

/// A connection that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(u64);

/// Something that a client, who may, asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who is to be answered.
    pub client: ClientId,
    /// What.
    pub verb: Verb,
}

/// The control socket with its connections. Its one descriptor becomes readable when [`Server::ready`] has work.
pub struct Server {
    place: Place,
    listener: UnixListener,
    poller: Poller,
    /// Besides root.
    user: u32,
    clients: BTreeMap<ClientId, Client>,
    last_id: u64,
    accept_again: Option<Moment>,
}

impl Server {
    /// Listens in the runtime directory; asked by root and by `user`.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen(place: Place, user: u32) -> Result<Server, PlaceError> {
        let listener = place.bind()?;
        let system = |cause| PlaceError::System { path: place.path().to_owned(), cause };
        let poller = Poller::new().map_err(system)?;
        let reading = Interest { is_reading: true, is_writing: false };
        poller.add(listener.as_fd(), LISTENER, reading).map_err(system)?;
        let clients = BTreeMap::new();
        Ok(Server { place, listener, poller, user, clients, last_id: LISTENER, accept_again: None })
    }

    /// Does what can be done at once, and gives what is asked for. To be called when the descriptor is readable and
    /// when [`Server::next_deadline`] has come.
    pub fn ready(&mut self, now: Moment) -> Vec<Request> {
        let mut requests = Vec::new();
        self.expire(now);
        // The poller is ours and stays valid; should it fail all the same, the deadlines still clean up.
        for ready in self.poller.ready().unwrap_or_default() {
            if ready.token == LISTENER {
                self.accept(now, &mut requests);
                continue;
            }
            let id = ClientId(ready.token);
            if ready.can_write {
                requests.extend(self.then(id, now, |client| client.write(now)));
            }
            if ready.can_read {
                requests.extend(self.then(id, now, Client::read));
            } else if ready.is_closed {
                self.then(id, now, |_| Next::Close);
            }
        }
        requests
    }

    /// Answers a request. A client that is gone meanwhile is no matter.
    pub fn answer(&mut self, client: ClientId, response: &Response, now: Moment) {
        let mut line = response.to_line();
        let mut is_refusal = matches!(response, Response::Refused { .. });
        let waiting: usize = self.clients.values().map(Client::output_bytes).sum();
        if waiting + line.len() > OUTPUT_BYTES_MAX {
            line = Response::refused("too many answers wait to be read already").to_line();
            is_refusal = true;
        }
        self.then(client, now, |client| {
            client.answer(&line, is_refusal, now);
            client.write(now)
        });
    }

    /// Tells those who follow.
    pub fn publish(&mut self, rule: &str, decision: &Decision, now: Moment) {
        let followers: Vec<ClientId> = self.followers().collect();
        if followers.is_empty() {
            return;
        }
        let decision = Box::new(decision.to_status());
        let line = Response::Decision { rule: rule.to_owned(), decision }.to_line();
        for id in followers {
            self.then(id, now, |client| {
                client.publish(rule, &line);
                client.write(now)
            });
        }
    }

    /// When [`Server::ready`] is to be called at the latest.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.clients.values().filter_map(Client::deadline).chain(self.accept_again).min()
    }

    fn followers(&self) -> impl Iterator<Item = ClientId> {
        self.clients.iter().filter(|(_, client)| client.is_follower()).map(|(id, _)| *id)
    }

    fn expire(&mut self, now: Moment) {
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
            self.listen_for_clients(true);
        }
        self.clients.retain(|_, client| client.deadline().is_none_or(|deadline| deadline > now));
    }

    fn accept(&mut self, now: Moment, requests: &mut Vec<Request>) {
        for _ in 0..ACCEPTS_MAX {
            match self.listener.accept() {
                Ok((stream, _)) => requests.extend(self.take_in(stream, now)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    // No descriptor or memory left: the listener stays readable, and would wake us for nothing.
                    _ => {
                        self.listen_for_clients(false);
                        self.accept_again = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
    }

    fn take_in(&mut self, stream: UnixStream, now: Moment) -> Option<Request> {
        let user = local::peer_user(&stream).ok()?;
        stream.set_nonblocking(true).ok()?;
        let is_allowed = user == 0 || user == self.user;
        if is_allowed && self.clients.len() >= CLIENTS_MAX {
            // Whoever asks goes before whoever only sits there, longest first.
            let idle = self.clients.iter().find(|(_, client)| client.is_idle()).map(|(id, _)| *id);
            idle.and_then(|id| self.clients.remove(&id));
        }
        let mut client = Client::new(stream, now);
        if !is_allowed || self.clients.len() >= CLIENTS_MAX {
            // Not taken in: what does not go into its socket's buffer at once is not said.
            let reason = if is_allowed { "too many clients".to_owned() } else { not_allowed(self.user) };
            client.refuse(&reason, now);
            client.write(now);
            return None;
        }
        self.last_id += 1;
        let id = ClientId(self.last_id);
        self.poller.add(client.stream.as_fd(), id.0, client.interest).ok()?;
        self.clients.insert(id, client);
        self.then(id, now, Client::read)
    }

    /// Does something with a client, and what follows from it.
    fn then(&mut self, id: ClientId, now: Moment, act: impl FnOnce(&mut Client) -> Next) -> Option<Request> {
        let others = self.followers().filter(|follower| *follower != id).count();
        let client = self.clients.get_mut(&id)?;
        let mut next = act(client);
        if matches!(next, Next::Ask(Verb::Status { follow: true, .. })) && others >= FOLLOWERS_MAX {
            next = Next::Refuse("too many clients follow already".to_owned());
        }
        if let Next::Refuse(error) = next {
            client.refuse(&error, now);
            next = client.write(now);
        }
        let wanted = client.wanted();
        if matches!(next, Next::Close) {
            // Closing it takes it out of the poller.
            self.clients.remove(&id);
        } else if wanted != client.interest {
            client.interest = wanted;
            // It fails only for a descriptor that is not in the set, and this one is.
            let _ = self.poller.modify(client.stream.as_fd(), id.0, wanted);
        }
        match next {
            Next::Ask(verb) => Some(Request { client: id, verb }),
            Next::Wait | Next::Refuse(_) | Next::Close => None,
        }
    }

    fn listen_for_clients(&self, is_reading: bool) {
        let interest = Interest { is_reading, is_writing: false };
        // As above: the listener is in the set.
        let _ = self.poller.modify(self.listener.as_fd(), LISTENER, interest);
    }
}

impl Drop for Server {
    /// Nobody shall knock in vain.
    fn drop(&mut self) {
        self.place.unbind();
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

fn not_allowed(user: u32) -> String {
    match user {
        0 => "permission denied: only root may ask this daemon".to_owned(),
        user => format!("permission denied: only root and user {user} may ask this daemon"),
    }
}
