//! Passwords: hashed, checked, and remembered for a while once they were right.

use std::collections::HashMap;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, generate_salt};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::types::Index;

/// How many passwords are hashed at a time: each takes a core and 19 MiB.
const HASHING_MAX: usize = 2;

/// How many users' checks are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// What is known of passwords that were right.
pub(in crate::http) struct Credentials {
    /// Drawn when the server was made, and told nobody.
    key: [u8; 32],
    /// By user.
    remembered: Mutex<HashMap<String, Remembered>>,
    /// Room for those who hash.
    room: Semaphore,
}

/// A check that went well.
struct Remembered {
    /// The user's record that it was made against.
    modified: Index,
    /// Of the password. Two of them are compared in constant time.
    fingerprint: blake3::Hash,
}

impl Credentials {
    pub(in crate::http) fn new() -> Self {
        let mut key = [0; 32];
        for half in key.chunks_exact_mut(16) {
            half.copy_from_slice(&generate_salt());
        }
        Self { key, remembered: Mutex::default(), room: Semaphore::new(HASHING_MAX) }
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, password: String) -> String {
        self.off_thread(move || {
            let hash: PasswordHash = Argon2::default()
                .hash_password(password.as_bytes())
                .expect("parameters and salt are as they should be");
            hash.to_string()
        })
        .await
    }

    /// Whether `password` is that of `user`, whose record of index `modified` has this hash.
    pub(super) async fn check(&self, user: &str, modified: Index, hash: &str, password: &[u8]) -> bool {
        let fingerprint = blake3::keyed_hash(&self.key, password);
        if self.is_remembered(user, modified, fingerprint) {
            return true;
        }
        let (hash, password) = (hash.to_owned(), password.to_vec());
        let is_right = self
            .off_thread(move || {
                PasswordHash::new(&hash)
                    .is_ok_and(|hash| Argon2::default().verify_password(&password, &hash).is_ok())
            })
            .await;
        if is_right {
            self.remember(user, Remembered { modified, fingerprint });
        }
        is_right
    }

    fn is_remembered(&self, user: &str, modified: Index, fingerprint: blake3::Hash) -> bool {
        let remembered = self.remembered.lock();
        remembered.get(user).is_some_and(|remembered| {
            remembered.modified == modified && remembered.fingerprint == fingerprint
        })
    }

    fn remember(&self, user: &str, check: Remembered) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            // They come back, each at the cost of one more check.
            remembered.clear();
        }
        remembered.insert(user.to_owned(), check);
    }

    /// Does `work`, which takes a core for a while, where it keeps nobody waiting who does not wait for it.
    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _place = self.room.acquire().await.expect("the semaphore is never closed");
        tokio::task::spawn_blocking(work).await.expect("hashing does not panic, and nobody cancels it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_check_is_remembered_for_as_long_as_the_record_stays() {
        let credentials = Credentials::new();
        block_on(async {
            let hash = credentials.hash("right".to_owned()).await;
            let check = |modified, password: &'static [u8]| {
                credentials.check("u", Index::new(modified), &hash, password)
            };
            assert!(!check(1, b"wrong").await);
            assert!(credentials.remembered.lock().is_empty(), "what was wrong is not remembered");
            assert!(check(1, b"right").await);
            assert!(credentials.remembered.lock().contains_key("u"));
            assert!(check(1, b"right").await);
            assert!(!check(1, b"wrong").await);

            // The password was changed: what is remembered is of another record.
            let other = credentials.hash("new".to_owned()).await;
            let check = |password: &'static [u8]| credentials.check("u", Index::new(2), &other, password);
            assert!(!check(b"right").await);
            assert!(check(b"new").await);
        });
    }

    #[test]
    fn what_is_no_hash_lets_nobody_in() {
        assert!(!block_on(Credentials::new().check("u", Index::new(1), "", b"")));
        assert!(!block_on(Credentials::new().check("u", Index::new(1), "right", b"right")));
    }
}
