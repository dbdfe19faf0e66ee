//! What can be a value.

use crate::tree::Value;

/// What can be written as the value of a file: text and bytes as they are, numbers and truth values as text.
///
/// ```
/// let store = spinney::Store::in_memory();
/// store.set("/name", "web")?;
/// store.set("/port", 8080)?;
/// store.set("/tls", true)?;
/// store.set("/logo", vec![0x89, 0x50])?;
/// assert_eq!(store.get("/port")?.text(), Some("8080"));
/// # Ok::<(), spinney::Error>(())
/// ```
pub trait IntoValue {
    /// The bytes.
    fn into_value(self) -> Vec<u8>;
}

impl IntoValue for Vec<u8> {
    fn into_value(self) -> Vec<u8> {
        self
    }
}

impl IntoValue for String {
    fn into_value(self) -> Vec<u8> {
        self.into_bytes()
    }
}

impl<T: AsRef<[u8]> + ?Sized> IntoValue for &T {
    fn into_value(self) -> Vec<u8> {
        self.as_ref().to_vec()
    }
}

impl<const N: usize> IntoValue for [u8; N] {
    fn into_value(self) -> Vec<u8> {
        self.to_vec()
    }
}

macro_rules! as_text {
    ($($type:ty)*) => {$(
        impl IntoValue for $type {
            fn into_value(self) -> Vec<u8> {
                self.to_string().into_bytes()
            }
        }
    )*};
}

as_text!(bool char f32 f64 i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

pub(super) fn value(from: impl IntoValue) -> Value {
    Value::new(from.into_value())
}
