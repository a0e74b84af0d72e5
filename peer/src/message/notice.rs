//! Presence as endpoints tell it to each other: notices, and which of them counts.
//!
//! * A notice carries (incarnation, sequence); the higher wins, so order and repetition change nothing.
//! * The access server may say that an incarnation is over; then only a message of a live session, which nobody can
//!   replay, brings it back.
//! * The end of a lease is news from the server; everything else comes from the buddy itself.

/// One notice (wire: frame 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Higher after every start of the endpoint.
    pub incarnation: u64,
    /// Higher with every notice of one incarnation.
    pub sequence: u64,
    /// What is told.
    pub status: Status,
}

/// Whether a device can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Logged out, or its lease ran out.
    #[default]
    Offline,
    /// Logged in.
    Online,
}

/// How a message came, as far as presence is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The first message of a handshake, which somebody may have recorded and sent again.
    Handshake,
    /// A message of a session, fresh by its counter.
    Session,
}

/// What is known of one device's presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    status: Status,
    /// The highest notice taken.
    highest: (u64, u64),
    /// The incarnation that the server called over.
    ended: Option<u64>,
}

impl Presence {
    /// Whether the device can be reached.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The incarnation of the highest notice.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.highest.0
    }

    /// Takes a notice; true if it was higher than all before.
    pub fn apply(&mut self, notice: Notice, carrier: Carrier) -> bool {
        let number = (notice.incarnation, notice.sequence);
        let over =
            carrier == Carrier::Handshake && self.ended.is_some_and(|ended| notice.incarnation <= ended);
        if number <= self.highest || over {
            return false;
        }
        *self = Self { status: notice.status, highest: number, ended: None };
        true
    }

    /// Takes what the server says; `incarnation` is the one that it knows.
    pub fn apply_server(&mut self, status: Status, incarnation: Option<u64>) {
        let known = incarnation.unwrap_or(self.highest.0);
        if known < self.highest.0 {
            return;
        }
        match status {
            // The device's own word that this incarnation left outlives the server's belief that it is there.
            Status::Online => {
                let left = self.status == Status::Offline && self.ended.is_none();
                if known > self.highest.0 || !left || self.highest == (0, 0) {
                    *self = Self { status, highest: self.highest.max((known, 0)), ended: None };
                }
            }
            Status::Offline => {
                if self.status == Status::Online || known > self.highest.0 {
                    *self = Self { status, highest: self.highest.max((known, 0)), ended: Some(known) };
                }
            }
        }
    }

    /// Takes a fresh message of a session: whoever speaks is there, unless the device itself said that it left.
    pub fn heard(&mut self) {
        if self.ended.take().is_some() {
            self.status = Status::Online;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(incarnation: u64, sequence: u64, status: Status) -> Notice {
        Notice { incarnation, sequence, status }
    }

    #[test]
    fn an_offline_notice_that_overtakes_an_online_one_wins() {
        let mut presence = Presence::default();
        assert!(presence.apply(notice(5, 2, Status::Offline), Carrier::Session));
        assert!(!presence.apply(notice(5, 1, Status::Online), Carrier::Session));
        assert_eq!(presence.status(), Status::Offline);
        assert!(presence.apply(notice(6, 1, Status::Online), Carrier::Handshake));
        assert_eq!(presence.status(), Status::Online);
    }

    #[test]
    fn what_the_server_ended_only_a_session_brings_back() {
        let mut presence = Presence::default();
        assert!(presence.apply(notice(5, 1, Status::Online), Carrier::Handshake));
        presence.apply_server(Status::Offline, Some(5));
        assert_eq!(presence.status(), Status::Offline);
        assert!(!presence.apply(notice(5, 2, Status::Online), Carrier::Handshake), "a recorded handshake");
        presence.heard();
        assert_eq!(presence.status(), Status::Online);
        presence.apply_server(Status::Offline, Some(4));
        assert_eq!(presence.status(), Status::Online, "news of an older incarnation");
    }

    #[test]
    fn the_servers_belief_does_not_undo_a_farewell() {
        let mut presence = Presence::default();
        presence.apply_server(Status::Online, Some(5));
        assert_eq!(presence.status(), Status::Online);
        assert!(presence.apply(notice(5, 9, Status::Offline), Carrier::Session));
        presence.apply_server(Status::Online, Some(5));
        presence.heard();
        assert_eq!(presence.status(), Status::Offline);
        presence.apply_server(Status::Online, Some(6));
        assert_eq!(presence.status(), Status::Online);
    }
}
