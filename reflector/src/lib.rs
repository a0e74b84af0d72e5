//! The stateless reflector daemon.
