//! Whether a reflector says that it drains: 503 from `/readyz` of its admin listener.
//!
//! * Only a clear 503 counts; a listener that is away, slow or odd says nothing.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Asks once, for at most this long.
pub async fn is_draining(admin: SocketAddr, patience: Duration) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: reflector\r\nConnection: close\r\n\r\n").await?;
        let mut status = [0; STATUS_LINE.len()];
        stream.read_exact(&mut status).await?;
        Ok::<bool, std::io::Error>(status == *STATUS_LINE)
    };
    matches!(timeout(patience, ask).await, Ok(Ok(true)))
}

const STATUS_LINE: &[u8; 12] = b"HTTP/1.1 503";
