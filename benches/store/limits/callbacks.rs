//! A bare loop over callbacks: what telling so many listeners of one event costs at the very least.

use std::sync::Arc;

use parking_lot::Mutex;

type Callback = Box<dyn Fn(&Arc<[u8]>) + Send + Sync>;

/// The callbacks. Each keeps the latest event in a place of its own, as somebody who reads it later would.
pub(crate) struct Callbacks(Vec<Callback>);

impl Callbacks {
    pub(crate) fn new(count: usize) -> Self {
        let callback = |_| -> Callback {
            let latest = Mutex::new(None);
            Box::new(move |event| *latest.lock() = Some(Arc::clone(event)))
        };
        Self((0..count).map(callback).collect())
    }

    /// Tells everyone.
    pub(crate) fn tell(&self, event: &Arc<[u8]>) {
        self.0.iter().for_each(|callback| callback(event));
    }
}
