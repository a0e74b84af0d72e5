//! Whether a reflector says that it drains: 503 from `/readyz` of its admin listener.
//!
//! * Only a clear 503 counts; a listener that is away, slow or odd says nothing.

use http::{Call, Client, Limits};
use std::net::SocketAddr;
use std::time::Duration;

/// Asks once, for at most this long.
pub async fn is_draining(admin: SocketAddr, patience: Duration) -> bool {
    let client = Client::at(admin, Limits { patience, most_bytes: MOST_BYTES });
    client.call(Call::get("/readyz")).await.is_ok_and(|answer| answer.status == 503)
}

/// The page is one word; more than these bytes none has.
const MOST_BYTES: usize = 64 << 10;
