//! Whether a conversation with a peer lives, when it needs consent, and what the application's datagrams count.
//!
//! * It lives while application bytes came or went in the last ten minutes.
//! * Consent goes through the reflector once a minute, or earlier where the header in use ends earlier.

/// The conversation with one peer.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    /// When application bytes last came or went.
    talked_us: Option<u64>,
    consent_us: u64,
    /// When the peer may next be told that it is heard.
    answer_us: u64,
    sent: u64,
    received: u64,
}

impl Talk {
    /// Whether a conversation lives.
    pub(crate) fn is_alive(&self, now_us: u64) -> bool {
        self.talked_us.is_some_and(|talked_us| now_us < talked_us + CONVERSATION_US)
    }

    /// Application bytes came or went; true if a conversation begins with them.
    pub(crate) fn touch(&mut self, now_us: u64) -> bool {
        let begins = !self.is_alive(now_us);
        self.talked_us = Some(now_us);
        if begins {
            self.consent_us = now_us + FIRST_CONSENT_US;
        }
        begins
    }

    /// A datagram of the application was taken to be sent.
    pub(crate) fn note_sent(&mut self) {
        self.sent += 1;
    }

    /// A datagram of the application arrived.
    pub(crate) fn note_received(&mut self) {
        self.received += 1;
    }

    /// Datagrams of the application that were taken to be sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Datagrams of the application that arrived.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether to tell the peer that it is heard: about once a second, where no challenge can ask.
    pub(crate) fn may_answer(&mut self, now_us: u64) -> bool {
        let may = now_us >= self.answer_us;
        if may {
            self.answer_us = now_us + ANSWER_PAUSE_US;
        }
        may
    }

    /// When the next consent is due.
    pub(crate) fn consent_us(&self) -> u64 {
        self.consent_us
    }

    /// Puts the next consent off until a time.
    pub(crate) fn put_off_consent(&mut self, until_us: u64) {
        self.consent_us = until_us;
    }
}

/// The longest pause between two consents; `left_us` is how long the header in use still holds.
pub(crate) fn consent_pause_us(left_us: u64) -> u64 {
    // Where headers live shorter than usual, a minute would be too long to keep them alive.
    (left_us / 2).clamp(SHORTEST_CONSENT_PAUSE_US, CONSENT_PAUSE_US)
}

/// A conversation ends when nothing was said for so long.
const CONVERSATION_US: u64 = 600_000_000;
/// Each side's message through the reflector, that renews the other's header.
const CONSENT_PAUSE_US: u64 = 60_000_000;
const SHORTEST_CONSENT_PAUSE_US: u64 = 2_000_000;
/// Less than the time after which a sender looks into our silence.
const ANSWER_PAUSE_US: u64 = 800_000;
const FIRST_CONSENT_US: u64 = 1_000_000;
