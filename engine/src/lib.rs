//! One worker's way to receive, decide in place and send.
