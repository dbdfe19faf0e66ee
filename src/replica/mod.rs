//! placeholder

pub(crate) mod content;
