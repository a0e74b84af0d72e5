//! Open-loop load from endpoints behind simulated NATs.
