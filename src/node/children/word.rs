//! Names as numbers: eight bytes that stand for a name in most comparisons.

use std::sync::Arc;

/// The eight bytes of `name` after the first `skip`, zeros where it ends, as a number that orders as they do.
///
/// Of names that share their first `skip` bytes, the one with the smaller word comes first. Equal words decide
/// nothing.
#[expect(clippy::big_endian_bytes, reason = "never stored: numbers are to order as the bytes do")]
pub(super) fn word(name: &[u8], skip: u16) -> u64 {
    let rest = name.get(usize::from(skip)..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => (rest.iter().zip(0..)).fold(0, |word, (&byte, i)| word | u64::from(byte) << (56 - 8 * i)),
    }
}

/// How many bytes both begin with, as far as a `skip` can count.
pub(super) fn shared(a: &[u8], b: &[u8]) -> u16 {
    let count = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// The shortest text that is greater than `left` and not greater than `right`.
pub(super) fn separator(left: &[u8], right: &[u8]) -> Arc<[u8]> {
    debug_assert!(left < right);
    let equal = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    Arc::from(&right[..=equal])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_orders_as_its_bytes() {
        assert_eq!(word(b"abcdefghi", 0), 0x6162_6364_6566_6768);
        assert_eq!(word(b"abcdefghi", 7), 0x6869_0000_0000_0000);
        assert_eq!(word(b"abc", 3), 0);
        assert_eq!(word(b"abc", 4), 0);
        assert!(word("é".as_bytes(), 0) > word(b"z", 0));
    }

    #[test]
    fn a_separator_is_the_shortest_text_between() {
        assert_eq!(&*separator(b"apple", b"banana"), b"b");
        assert_eq!(&*separator(b"job-0041", b"job-0050"), b"job-005");
        assert_eq!(&*separator(b"a", b"ab"), b"ab");
        assert_eq!(shared(b"job-0041", b"job-0050"), 6);
    }
}
