//! A bare map behind a lock: what anybody would write who wants to share some keys.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::keys::{self, VALUE};

/// Path to value.
pub(crate) struct Map(RwLock<HashMap<String, Arc<[u8]>>>);

impl Map {
    /// With so many keys.
    pub(crate) fn filled(count: usize) -> Self {
        Self(RwLock::new((0..count).map(|number| (keys::key(number), Arc::from(VALUE))).collect()))
    }

    /// The value, shared.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<[u8]>> {
        self.0.read().get(key).cloned()
    }
}
