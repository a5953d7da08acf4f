//! A value that is replaced as a whole while others read it.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// Cheap to clone; all clones share one value. A reader may keep its value for any time, and sees either all of a new
/// value or nothing of it.
pub struct Swap<T>(Arc<ArcSwap<T>>);

impl<T> Swap<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    pub fn get(&self) -> Arc<T> {
        self.0.load_full()
    }

    pub fn set(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Swap<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
