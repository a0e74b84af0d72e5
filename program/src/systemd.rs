//! Tells systemd how far the daemon is.
//!
//! * Without systemd there is nobody to tell, and a daemon runs just as well.

use sd_notify::NotifyState;

/// The daemon serves; also said when a reload is over.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// A reload begins; it ends with [`ready`].
pub fn reloading() {
    // The kernel's clock is always there; without its reading systemd would refuse the message.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// The daemon drains and will end.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told of the state");
    }
}
