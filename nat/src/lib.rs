//! RFC 4787 behaviours, routes between them, and a NAT as a pure state machine.
