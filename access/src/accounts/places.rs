//! Where each device was: every address for which anything may have been minted for it.
//!
//! * A place is in the store before anything is minted there, so that all of a device's rights can be taken back, also at
//!   addresses that it has left, where somebody may keep a conversation alive.
//! * A place is forgotten when no key is in force that existed while something could be minted there.
//! * One thread writes; all places that wait are one transaction.

use crate::accounts::registry::Registry;
use crate::now::SharedClock;
use crate::revoke::place::Place;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// The way to the thread that writes.
#[derive(Clone, Debug)]
pub struct Places(Sender<Item>);

#[derive(Debug)]
struct Item {
    places: Vec<Place>,
    done: oneshot::Sender<bool>,
}

impl Places {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(registry: Arc<Registry>, clock: Arc<SharedClock>) -> std::io::Result<Self> {
        let (items, received) = channel(QUEUE_LEN);
        std::thread::Builder::new()
            .name(String::from("places"))
            .spawn(move || run(&registry, &clock, received))?;
        Ok(Self(items))
    }

    /// Writes these, and returns whether they are on the disk.
    pub async fn write(&self, places: Vec<Place>) -> bool {
        let (done, written) = oneshot::channel();
        self.0.send(Item { places, done }).await.is_ok() && written.await.unwrap_or(false)
    }
}

fn run(registry: &Registry, clock: &SharedClock, mut items: Receiver<Item>) {
    while let Some(first) = items.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < MOST_ITEMS
            && let Ok(item) = items.try_recv()
        {
            batch.push(item);
        }
        let places: Vec<Place> = batch.iter().flat_map(|item| item.places.iter().cloned()).collect();
        let written = registry.note_places(&places, clock.now());
        if let Err(error) = &written {
            tracing::error!(%error, "addresses cannot be noted; nothing is minted for new ones until they can");
        }
        for item in batch {
            // The request that waits for this may have been cancelled.
            let _ = item.done.send(written.is_ok());
        }
    }
}

/// Items that wait for the thread.
const QUEUE_LEN: usize = 1_024;
/// Items in one transaction.
const MOST_ITEMS: usize = 512;
