//! Decompresses answers that are compressed although no compression was requested.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use zeroize::Zeroizing;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    /// With or without the zlib frame: servers send both under this name. Source: RFC 9110, 8.4.1.2.
    Deflate,
    Other,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let named = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
        match named.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            _ => Self::Other,
        }
    }
}

/// How a gzip stream begins, whatever the header says. Source: RFC 1952, 2.3.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// The decompressed body, at most `most` bytes of it. A body that does not match its header is returned unchanged.
pub(super) fn unpack(body: Zeroizing<Vec<u8>>, encoding: Encoding, most: usize) -> Zeroizing<Vec<u8>> {
    if body.starts_with(&GZIP) {
        let unpacked = read(MultiGzDecoder::new(body.as_slice()), most);
        return unpacked.map_or(body, |(unpacked, _)| unpacked);
    }
    let unpacked = match encoding {
        Encoding::Deflate if is_framed(&body) => read(ZlibDecoder::new(body.as_slice()), most),
        // Such a stream can be recognised only by reading it to its end.
        Encoding::Deflate => read(DeflateDecoder::new(body.as_slice()), most).filter(|(_, is_whole)| *is_whole),
        Encoding::Gzip | Encoding::Other => None,
    };
    unpacked.map_or(body, |(unpacked, _)| unpacked)
}

/// Whether it has zlib's frame. Source: RFC 1950, 2.2.
fn is_framed(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

/// Returns also whether the stream was complete. `None` when nothing can be decompressed.
fn read(mut stream: impl Read, most: usize) -> Option<(Zeroizing<Vec<u8>>, bool)> {
    // One allocation of the maximum size, so that no outgrown copy stays behind unwiped.
    let mut unpacked = Zeroizing::new(vec![0; most]);
    let mut length = 0;
    let is_whole = loop {
        match stream.read(&mut unpacked[length..]) {
            Ok(0) => break true,
            Ok(read) => length += read,
            Err(_) => break false,
        }
    };
    unpacked.truncate(length);
    (length > 0).then_some((unpacked, is_whole))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const PLAIN: &[u8] = br#"{"ok":true,"id":"a1"}"#;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(body: &[u8], encoding: Encoding, most: usize) -> Vec<u8> {
        unpack(Zeroizing::new(body.to_vec()), encoding, most).to_vec()
    }

    #[test]
    fn what_is_compressed_is_read_and_what_only_says_so_stays() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(PLAIN).unwrap();
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(PLAIN).unwrap();
        for (body, encoding) in [
            (gzip(PLAIN), Encoding::Gzip),
            (gzip(PLAIN), Encoding::Other),
            ([gzip(&PLAIN[..5]), gzip(&PLAIN[5..])].concat(), Encoding::Gzip),
            (zlib.finish().unwrap(), Encoding::Deflate),
            (deflate.finish().unwrap(), Encoding::Deflate),
            (PLAIN.to_vec(), Encoding::Gzip),
            (PLAIN.to_vec(), Encoding::Deflate),
            (PLAIN.to_vec(), Encoding::Other),
        ] {
            assert_eq!(unpacked(&body, encoding, 1000), PLAIN, "{encoding:?}");
        }
        assert_eq!(unpacked(&gzip(PLAIN)[..12], Encoding::Gzip, 1000), b"{", "what came of a stream that broke off");
        assert_eq!(unpacked(&gzip(PLAIN)[..8], Encoding::Gzip, 1000), &gzip(PLAIN)[..8]);
    }

    #[test]
    fn a_bomb_fills_what_it_may_and_no_more() {
        let bomb = gzip(&vec![b' '; 50_000_000]);
        assert_eq!(unpacked(&bomb, Encoding::Gzip, 256 * 1024).len(), 256 * 1024);
    }
}
