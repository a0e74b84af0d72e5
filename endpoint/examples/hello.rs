//! Says hello to a buddy and waits for the answer: the first block of the README.

#![forbid(unsafe_code)]

use endpoint::{Device, Endpoint};

#[tokio::main]
async fn main() -> Result<(), endpoint::Error> {
    let device = Device::load("alice.toml".as_ref())?; // written by `reflector-endpoint enrol`
    let alice = Endpoint::login(device).await?;
    let bob = alice.peer("bob")?;
    bob.send(b"hello")?;
    let (from, datagram) = alice.recv().await?;
    assert_eq!(from.id(), bob.id());
    assert_eq!(datagram, b"hello yourself");
    alice.leave().await;
    Ok(())
}
