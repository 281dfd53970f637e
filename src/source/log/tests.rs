//! What a whole sequence of logs becomes.
