//! A panic is one log line, like everything else.
//!
//! * The text is escaped: a panic message may quote anything.

/// From now on panics of any thread go to the log.
pub fn report() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        tracing::error!(place, "panic: {}", text.escape_debug());
    }));
}
