//! STUN on the reflector's sockets: what is answered, from which socket, and why not.
//!
//! * Off unless asked for; stateless like everything else.

pub mod answer;
pub mod refusal;
pub mod settings;
pub mod sockets;
