//! Stands in for the crate `crc`, of which `kafka` and `kafka-protocol` use just CRC-32; the top
//! Cargo.toml puts it in its place. `kafka` makes a `Crc` for each record, and the real one fills a
//! table of 256 numbers each time: that took longer than all the rest of the fetching. Here a `Crc`
//! is nothing, and `crc32fast` computes with what the processor has for it.

//!
//! `kafka` takes the checksum of each message that it fetched before it looks at what is in it, and
//! unpacks a compressed one whatever comes out. So here is the place to look at it first, see
//! `looking`.

use std::cell::Cell;
use std::marker::PhantomData;

/// CRC-32 as gzip, PNG and Kafka have it.
pub const CRC_32_ISO_HDLC: Algorithm = Algorithm(());

/// The one that there is.
pub struct Algorithm(());

/// A checksum of the width `W`, which is `u32`.
pub struct Crc<W>(PhantomData<W>);

impl Crc<u32> {
    pub const fn new(_: &'static Algorithm) -> Self {
        Self(PhantomData)
    }

    pub fn checksum(&self, bytes: &[u8]) -> u32 {
        let checksum = crc32fast::hash(bytes);
        match LOOK.get() {
            Some(look) if !look(bytes) => !checksum,
            _ => checksum,
        }
    }
}

/// Whether bytes may have their checksum.
pub type Look = fn(&[u8]) -> bool;

thread_local! {
    static LOOK: Cell<Option<Look>> = const { Cell::new(None) };
}

/// Runs `work`; until it ends, bytes on this thread that `look` refuses have a wrong checksum.
pub fn looking<R>(look: Look, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Look>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LOOK.set(self.0);
        }
    }
    let _restore = Restore(LOOK.replace(Some(look)));
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_algorithm_comes_out() {
        let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
        assert_eq!(crc.checksum(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc.checksum(b""), 0);
    }

    #[test]
    fn what_is_refused_has_a_wrong_checksum_as_long_as_somebody_looks() {
        let of = |bytes: &[u8]| Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(bytes);
        let right = (of(b"good"), of(b"bad"));
        let seen = looking(|bytes| bytes != b"bad", || (of(b"good"), of(b"bad")));
        assert_eq!(seen.0, right.0);
        assert_ne!(seen.1, right.1);
        let _ = std::panic::catch_unwind(|| looking(|_| false, || panic!("it ends in any way")));
        assert_eq!((of(b"good"), of(b"bad")), right);
    }
}
