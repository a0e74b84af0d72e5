//! A chat on the terminal, `bob how are you?` a line: the second block of the README.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use endpoint::{Device, Endpoint, Error, Event};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let me = Endpoint::login(Device::load("alice.toml".as_ref())?).await?;
    for buddy in me.profile().into_iter().flat_map(|profile| profile.buddies) {
        println!("{} ({:?})", buddy.account, buddy.state);
    }
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line?.as_deref().and_then(|line| line.split_once(' ')) {
                // "bob how are you?": repeated until bob has it.
                Some((name, text)) => match me.peer(name).and_then(|peer| peer.send_message(text.as_bytes())) {
                    Ok(_) | Err(Error::Left) => {}
                    Err(error) => eprintln!("{error}"),
                },
                None => break,
            },
            event = me.event() => match event? {
                Event::Message { peer, bytes } => {
                    let name = me.peer_by_id(peer).account().map(|name| name.to_string()).unwrap_or_default();
                    println!("{name}: {}", String::from_utf8_lossy(&bytes).escape_debug());
                }
                Event::Path { peer, path, why } => eprintln!("{peer:?} is reached by {path:?}: {why}"),
                _ => {}
            },
        }
    }
    me.leave().await;
    Ok(())
}
