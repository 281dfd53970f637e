//! What a rehearsal writes, and what readers see of it.

mod promise;

use std::sync::Arc;

use crate::pipeline::Pipeline;

fn pipeline(text: &str) -> Arc<Pipeline> {
    Arc::new(Pipeline::parse(text, "p", &|_| None).expect("a valid pipeline"))
}
