//! Unpacks what is compressed, within a limit: a hundred kilobytes in a log can be gigabytes here.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::zstd_safe::{self, DCtx, InBuffer, OutBuffer, ResetDirective};

use super::codec::Codec;
use super::compress::SNAPPY_HEAD;
use super::defect::Defect;

/// What all batches of one answer may take in memory.
pub(crate) const LIMIT: usize = 256 << 20;

/// Unpacks the batches of one answer after another.
pub(super) struct Decompressor {
    limit: usize,
    /// What is left of it.
    left: usize,
    zstd: DCtx<'static>,
}

impl Decompressor {
    pub(super) fn new() -> Self {
        Self {
            limit: LIMIT,
            left: LIMIT,
            zstd: DCtx::create(),
        }
    }

    /// Begins with an answer.
    pub(super) fn begin(&mut self, limit: usize) {
        self.limit = limit;
        self.left = limit;
    }

    /// What has been unpacked of the answer, or counted with it.
    pub(super) fn spent(&self) -> usize {
        self.limit - self.left
    }

    /// What the answer may still unpack to.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Gives back what a batch has taken that was not read in the end. Whether all of the limit was
    /// there for it.
    pub(super) fn give_back(&mut self, left: usize) -> bool {
        self.left = left;
        left == self.limit
    }

    /// Counts bytes against the limit.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Defect> {
        self.left = self.left.checked_sub(bytes).ok_or(Defect::TooLarge)?;
        Ok(())
    }

    /// Unpacks, and counts what comes out against the limit.
    pub(super) fn decompress(&mut self, codec: Codec, packed: &[u8]) -> Result<Vec<u8>, Defect> {
        let plain = match codec {
            Codec::None => return Err(Defect::Compression),
            Codec::Gzip => self.read(packed, MultiGzDecoder::new(packed))?,
            Codec::Snappy => self.snappy(packed)?,
            Codec::Lz4 => self.read(packed, FrameDecoder::new(packed))?,
            Codec::Zstd => self.zstd(packed)?,
        };
        self.spend(plain.len())?;
        Ok(plain)
    }

    /// Reads a stream to its end, one byte beyond the limit at most.
    fn read(&self, packed: &[u8], stream: impl Read) -> Result<Vec<u8>, Defect> {
        let mut plain = Vec::with_capacity(3 * packed.len());
        let most = self.left as u64 + 1;
        match stream.take(most).read_to_end(&mut plain) {
            _ if plain.len() > self.left => Err(Defect::TooLarge),
            Ok(_) => Ok(plain),
            Err(_) => Err(Defect::Compression),
        }
    }

    /// One block, as most clients write it, or many with a length before each, as snappy-java does.
    fn snappy(&self, packed: &[u8]) -> Result<Vec<u8>, Defect> {
        let mut plain = Vec::new();
        let Some(mut rest) = packed.strip_prefix(&SNAPPY_HEAD[..8]) else {
            self.snappy_block(packed, &mut plain)?;
            return Ok(plain);
        };
        // The two numbers of the format's version.
        rest = rest.get(8..).ok_or(Defect::Compression)?;
        while !rest.is_empty() {
            // Streams that were put together.
            if let Some(next) = rest.strip_prefix(&SNAPPY_HEAD[..8]) {
                rest = next.get(8..).ok_or(Defect::Compression)?;
                continue;
            }
            let (length, behind) = rest.split_first_chunk().ok_or(Defect::Compression)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (block, behind) = behind.split_at_checked(length).ok_or(Defect::Compression)?;
            self.snappy_block(block, &mut plain)?;
            rest = behind;
        }
        Ok(plain)
    }

    fn snappy_block(&self, block: &[u8], plain: &mut Vec<u8>) -> Result<(), Defect> {
        // Three bytes repeat 64 at most: a block that claims more is a lie, for which no memory is
        // taken.
        const MOST_FOR_A_BYTE: usize = 22;
        let length = snap::raw::decompress_len(block).map_err(|_| Defect::Compression)?;
        if length > self.left - plain.len() {
            return Err(Defect::TooLarge);
        }
        if length > block.len() * MOST_FOR_A_BYTE {
            return Err(Defect::Compression);
        }
        let start = plain.len();
        plain.resize(start + length, 0);
        snap::raw::Decoder::new()
            .decompress(block, &mut plain[start..])
            .map_err(|_| Defect::Compression)?;
        Ok(())
    }

    fn zstd(&mut self, packed: &[u8]) -> Result<Vec<u8>, Defect> {
        /// A claimed size is believed up to so many bytes for each that is there.
        const BELIEVED_FOR_A_BYTE: usize = 32;
        let claimed = zstd_safe::get_frame_content_size(packed).ok().flatten();
        let size = claimed.and_then(|size| usize::try_from(size).ok());
        if let Some(size) = size.filter(|size| *size <= self.left.min(packed.len() * BELIEVED_FOR_A_BYTE)) {
            let mut plain = Vec::with_capacity(size);
            if self.zstd.decompress(&mut plain, packed).is_ok() {
                return Ok(plain);
            }
            // More frames follow, or it is broken: the stream tells.
        }
        let plain = self.zstd_stream(packed);
        // The window that a frame names, up to 128 MiB, is not kept.
        const KEPT: usize = 8 << 20;
        if self.zstd.sizeof() > KEPT {
            self.zstd = DCtx::create();
        }
        plain
    }

    /// Frames that do not say their size, as Java writes them.
    fn zstd_stream(&mut self, packed: &[u8]) -> Result<Vec<u8>, Defect> {
        const LEAST_ROOM: usize = 64 << 10;
        let broken = |_| Defect::Compression;
        self.zstd.reset(ResetDirective::SessionOnly).map_err(broken)?;
        let mut plain = Vec::with_capacity(3 * packed.len());
        let mut input = InBuffer::around(packed);
        loop {
            if plain.capacity() - plain.len() < LEAST_ROOM {
                plain.reserve(LEAST_ROOM);
            }
            let filled = plain.len();
            let mut output = OutBuffer::around_pos(&mut plain, filled);
            let to_come = self.zstd.decompress_stream(&mut output, &mut input).map_err(broken)?;
            if plain.len() > self.left {
                return Err(Defect::TooLarge);
            }
            if input.pos() == packed.len() {
                match to_come {
                    0 => return Ok(plain),
                    _ if plain.len() == filled => return Err(Defect::Compression),
                    _ => {}
                }
            }
        }
    }
}
