//! What counter-machine does, seen from outside.

mod kafka;
