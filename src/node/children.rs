//! Placeholder until the persistent map lands: a sorted vector.
use std::sync::Arc;
/// What has a name to be found by.
pub trait Named {
    /// The name.
    fn name(&self) -> &str;
}
/// Children in order of their names.
#[derive(Clone, PartialEq, Eq)]
pub struct Children<T>(Arc<Vec<T>>);
impl<T> Default for Children<T> {
    fn default() -> Self {
        Self(Arc::new(Vec::new()))
    }
}
impl<T: Named + Clone> Children<T> {
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.binary_search_by(|c| c.name().cmp(name)).ok().map(|i| &self.0[i])
    }
    /// To change in place.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let i = self.0.binary_search_by(|c| c.name().cmp(name)).ok()?;
        Some(&mut Arc::make_mut(&mut self.0)[i])
    }
    /// The child called `name`, made when missing.
    pub fn get_mut_or_insert_with(&mut self, name: &str, make: impl FnOnce() -> T) -> &mut T {
        let v = Arc::make_mut(&mut self.0);
        let i = match v.binary_search_by(|c| c.name().cmp(name)) {
            Ok(i) => i,
            Err(i) => {
                v.insert(i, make());
                i
            }
        };
        &mut v[i]
    }
    pub fn insert(&mut self, child: T) -> Option<T> {
        let v = Arc::make_mut(&mut self.0);
        match v.binary_search_by(|c| c.name().cmp(child.name())) {
            Ok(i) => Some(std::mem::replace(&mut v[i], child)),
            Err(i) => {
                v.insert(i, child);
                None
            }
        }
    }
    pub fn remove(&mut self, name: &str) -> Option<T> {
        let i = self.0.binary_search_by(|c| c.name().cmp(name)).ok()?;
        Some(Arc::make_mut(&mut self.0).remove(i))
    }
    pub fn last(&self) -> Option<&T> {
        self.0.last()
    }
    pub fn append(&mut self, child: T) {
        Arc::make_mut(&mut self.0).push(child)
    }
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}
