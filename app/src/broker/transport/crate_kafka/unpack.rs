//! Looks into a compressed batch before the `kafka` crate unpacks it. That crate makes of it
//! whatever comes out: a hundred kilobytes in the log can be gigabytes here; and of a batch with
//! another compressed one in it, it hands out memory that it has given back. So each batch is
//! unpacked piece by piece first, keeping nothing, and one that is refused never gets unpacked as a
//! whole.

use std::cell::Cell;
use std::io::Read;
use std::mem;

use flate2::read::GzDecoder;
use kafka::client::fetch;

use crate::broker::connection::bounds::Cursor;
use crate::broker::error::KafkaError;

/// What all batches of one answer may take in memory.
pub(crate) const BUDGET: usize = 256 << 20;

const CODEC: u8 = 0x07;
const GZIP: u8 = 1;
const SNAPPY: u8 = 2;

/// Why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    TooLarge,
    Nested,
}

impl Refused {
    /// The error of the answer that brought it.
    fn error(self) -> KafkaError {
        let (what, why) = match self {
            Self::TooLarge => {
                let most = BUDGET >> 20;
                let what = format!("a compressed batch unpacks to more than {most} MiB, more than this client reads");
                (what, "see who wrote it")
            }
            Self::Nested => {
                let what = "a compressed batch holds another compressed one, which no producer of Kafka writes";
                (what.to_string(), "see who wrote it")
            }
        };
        let way_out = format!(
            "{why} (kafka-dump-log.sh); kafka-delete-records.sh can remove it, if it may be lost: then a source of ours sends all rows again with producer --backfill"
        );
        KafkaError::fatal(what, way_out).unreadable()
    }
}

thread_local! {
    /// What is left of the budget, and why a batch of this answer was refused.
    static LEFT: Cell<usize> = const { Cell::new(BUDGET) };
    static REFUSED: Cell<Option<Refused>> = const { Cell::new(None) };
}

/// Runs a fetch of the `kafka` crate, which does not get to unpack what is refused; the error tells
/// why.
pub(crate) fn guarded<R>(fetch: impl FnOnce() -> Result<R, KafkaError>) -> Result<R, KafkaError> {
    LEFT.set(BUDGET);
    REFUSED.set(None);
    let fetched = crc::looking(accepts, fetch);
    match REFUSED.take() {
        Some(refused) => Err(refused.error()),
        None => fetched,
    }
}

fn accepts(message: &[u8]) -> bool {
    let mut left = LEFT.get();
    let looked = look(message, &mut left);
    LEFT.set(left);
    if let Err(refused) = looked {
        REFUSED.set(Some(refused));
    }
    looked.is_ok()
}

/// Looks at a message from its format's number on, with so much of the budget left. What cannot be
/// unpacked is not refused: the crate comes no further with it.
pub(crate) fn look(message: &[u8], left: &mut usize) -> Result<(), Refused> {
    let codec = message.get(1).map_or(0, |attributes| attributes & CODEC);
    if codec == 0 {
        return Ok(());
    }
    let mut rest = Cursor::new(message);
    let value = (|| {
        rest.take(2)?;
        rest.bytes()?;
        rest.bytes()
    })();
    match (codec, value) {
        (GZIP, Some(value)) => gunzip(value, left),
        (SNAPPY, Some(value)) => unsnap(value, left),
        _ => Ok(()),
    }
}

fn gunzip(value: &[u8], left: &mut usize) -> Result<(), Refused> {
    let (mut stream, mut piece, mut set) = (GzDecoder::new(value), vec![0; 64 << 10], Set::default());
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        set.take(&piece[..read], left)?;
    }
    Ok(())
}

/// Blocks as Java's library writes them: a head, then each with its size.
fn unsnap(value: &[u8], left: &mut usize) -> Result<(), Refused> {
    const HEAD: usize = 16;
    let (mut rest, mut piece, mut set) = (Cursor::new(value), Vec::new(), Set::default());
    if rest.take(HEAD).is_none() {
        return Ok(());
    }
    while let Some(block) = rest.bytes().filter(|block| !block.is_empty()) {
        let Ok(length) = snap::raw::decompress_len(block) else {
            return Ok(());
        };
        if length > *left {
            return Err(Refused::TooLarge);
        }
        piece.resize(piece.len().max(length), 0);
        match snap::raw::Decoder::new().decompress(block, &mut piece) {
            Ok(read) => set.take(&piece[..read], left)?,
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Walks through the messages that come out, piece by piece.
#[derive(Default)]
struct Set {
    head: [u8; Set::HEAD],
    /// How much of the head has come.
    have: usize,
    /// What is still to come of the message.
    skip: usize,
    /// The crate reads no further.
    ended: bool,
}

impl Set {
    /// Offset, size, checksum, format, attributes.
    const HEAD: usize = 18;

    fn take(&mut self, mut piece: &[u8], left: &mut usize) -> Result<(), Refused> {
        spend(left, piece.len())?;
        while !piece.is_empty() && !self.ended {
            if self.skip > 0 {
                let skipped = self.skip.min(piece.len());
                self.skip -= skipped;
                piece = &piece[skipped..];
                continue;
            }
            let taken = (Self::HEAD - self.have).min(piece.len());
            self.head[self.have..self.have + taken].copy_from_slice(&piece[..taken]);
            self.have += taken;
            piece = &piece[taken..];
            if self.have == Self::HEAD {
                self.have = 0;
                spend(left, mem::size_of::<fetch::Message<'_>>())?;
                let size = i32::from_be_bytes([self.head[8], self.head[9], self.head[10], self.head[11]]);
                match usize::try_from(size)
                    .ok()
                    .and_then(|size| size.checked_sub(Self::HEAD - 12))
                {
                    Some(rest) => self.skip = rest,
                    None => self.ended = true,
                }
                if !self.ended && self.head[17] & CODEC != 0 {
                    return Err(Refused::Nested);
                }
            }
        }
        Ok(())
    }
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), Refused> {
    *left = left.checked_sub(bytes).ok_or(Refused::TooLarge)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A message as it lies in a set, at offset 0.
    fn message(attributes: u8, value: &[u8]) -> Vec<u8> {
        let inner = body(attributes, value);
        let mut message = vec![0; 8];
        message.extend((inner.len() as i32 + 4).to_be_bytes());
        message.extend(
            crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC)
                .checksum(&inner)
                .to_be_bytes(),
        );
        message.extend(inner);
        message
    }

    /// The same from its format's number on.
    fn body(attributes: u8, value: &[u8]) -> Vec<u8> {
        let mut body = vec![0, attributes];
        body.extend((-1_i32).to_be_bytes());
        body.extend((value.len() as i32).to_be_bytes());
        body.extend(value);
        body
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut stream = GzEncoder::new(Vec::new(), Compression::best());
        stream.write_all(bytes).unwrap();
        stream.finish().unwrap()
    }

    fn snappy(bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
        for block in bytes.chunks(32 << 10) {
            let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
            out.extend((block.len() as i32).to_be_bytes());
            out.extend(block);
        }
        out
    }

    type Pack = fn(&[u8]) -> Vec<u8>;
    const BOTH: [(u8, Pack); 2] = [(GZIP, gzip), (SNAPPY, snappy)];

    #[test]
    fn plain_and_usual_compressed_messages_pass() {
        let set: Vec<u8> = (0..5000)
            .flat_map(|i| message(0, format!("value {i}").as_bytes()))
            .collect();
        let mut left = BUDGET;
        assert_eq!(look(&body(0, &set), &mut left), Ok(()));
        assert_eq!(left, BUDGET);
        for (codec, pack) in BOTH {
            let mut left = BUDGET;
            assert_eq!(look(&body(codec, &pack(&set)), &mut left), Ok(()));
            let each = mem::size_of::<fetch::Message<'_>>();
            assert_eq!(BUDGET - left, set.len() + 5000 * each, "codec {codec}");
        }
    }

    #[test]
    fn a_batch_in_a_batch_is_refused_wherever_it_stands_in_it() {
        let plain = message(0, &[7; 100_000]);
        for (codec, pack) in BOTH {
            for (inner, pack_inner) in BOTH {
                let nested = message(inner, &pack_inner(&plain));
                for set in [nested.clone(), [plain.clone(), nested, plain.clone()].concat()] {
                    let looked = look(&body(codec, &pack(&set)), &mut BUDGET.clone());
                    assert_eq!(looked, Err(Refused::Nested), "{inner} in {codec}");
                }
            }
        }
    }

    #[test]
    fn what_unpacks_to_more_than_the_budget_is_refused() {
        let set = message(0, &vec![0; 4 << 20]);
        for (codec, pack) in BOTH {
            let packed = body(codec, &pack(&set));
            assert_eq!(look(&packed, &mut (4 << 20)), Err(Refused::TooLarge));
            assert_eq!(look(&packed, &mut (5 << 20)), Ok(()));
        }
        // Messages without anything in them take memory, too.
        let empty = message(0, &[]).repeat(100_000);
        assert_eq!(
            look(&body(GZIP, &gzip(&empty)), &mut (empty.len() * 3 / 2)),
            Err(Refused::TooLarge)
        );
        // A block that claims more than there is.
        let mut lie = snappy(b"x")[..16].to_vec();
        lie.extend([0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
        assert_eq!(look(&body(SNAPPY, &lie), &mut BUDGET.clone()), Err(Refused::TooLarge));
    }

    #[test]
    fn what_is_broken_is_left_to_the_crate() {
        for (codec, pack) in BOTH {
            let packed = body(codec, &pack(&message(0, b"value").repeat(100)));
            for cut in 0..packed.len() {
                let _ = look(&packed[..cut], &mut BUDGET.clone());
            }
        }
        assert_eq!(look(&body(4, b"zstd"), &mut BUDGET.clone()), Ok(()));
    }
}
