//! Compresses records, as Kafka's own clients do by default, except for zstd.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use zstd::bulk;

use super::codec::Codec;

const GZIP_LEVEL: u32 = 6;
/// Rows as JSON become no smaller at level 3, Kafka's default, which takes half as much time again.
const ZSTD_LEVEL: i32 = 1;

/// What snappy-java writes before its blocks: a mark, and the format's version twice.
pub(super) const SNAPPY_HEAD: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// What snappy-java packs into one block.
const SNAPPY_BLOCK: usize = 32 << 10;

/// Compressors with the memory that they work in.
pub(super) struct Compressor {
    snappy: snap::raw::Encoder,
    zstd: Option<bulk::Compressor<'static>>,
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self {
            snappy: snap::raw::Encoder::new(),
            zstd: None,
        }
    }

    /// Appends what the bytes compress to. Writing into memory does not fail.
    pub(super) fn compress(&mut self, codec: Codec, plain: &[u8], out: &mut Vec<u8>) {
        match codec {
            Codec::None => out.extend_from_slice(plain),
            Codec::Gzip => {
                let mut stream = GzEncoder::new(out, Compression::new(GZIP_LEVEL));
                stream
                    .write_all(plain)
                    .and_then(|()| stream.try_finish())
                    .expect("gzip writes into memory");
            }
            Codec::Snappy => self.snappy(plain, out),
            Codec::Lz4 => {
                // What lz4-java reads: blocks of 64 KiB that stand alone.
                let frame = FrameInfo::new()
                    .block_mode(BlockMode::Independent)
                    .block_size(BlockSize::Max64KB);
                let mut stream = FrameEncoder::with_frame_info(frame, out);
                stream.write_all(plain).expect("lz4 writes into memory");
                stream.try_finish().expect("lz4 writes into memory");
            }
            Codec::Zstd => self.zstd(plain, out),
        }
    }

    fn snappy(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&SNAPPY_HEAD);
        for block in plain.chunks(SNAPPY_BLOCK) {
            let start = out.len() + 4;
            out.resize(start + snap::raw::max_compress_len(block.len()), 0);
            let packed = self
                .snappy
                .compress(block, &mut out[start..])
                .expect("snappy has the room that it asks for");
            out[start - 4..start].copy_from_slice(&(packed as u32).to_be_bytes());
            out.truncate(start + packed);
        }
    }

    fn zstd(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let zstd = self
            .zstd
            .get_or_insert_with(|| bulk::Compressor::new(ZSTD_LEVEL).expect("zstd knows its levels"));
        let start = out.len();
        out.resize(start + zstd::zstd_safe::compress_bound(plain.len()), 0);
        let packed = zstd
            .compress_to_buffer(plain, &mut out[start..])
            .expect("zstd has the room that it asks for");
        out.truncate(start + packed);
    }
}
