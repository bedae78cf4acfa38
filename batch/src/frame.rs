//! Frames: the pieces of a channel, and the data of one blob (specs: protocol/derivation, "Frame Format").

use alloy::primitives::Bytes;

use crate::{BLOB_CAPACITY, ChannelId};

/// Bytes of a frame that aren't data: id 16, number 2, length 4, last flag 1.
pub const FRAME_OVERHEAD: usize = ID + NUMBER + LENGTH + LAST;

/// Channel bytes that a full blob carries: its capacity less the derivation version and one frame's overhead.
pub const FRAME_CAPACITY: usize = BLOB_CAPACITY - VERSION - FRAME_OVERHEAD;

const VERSION: usize = 1;
const ID: usize = 16;
const NUMBER: usize = 2;
const LENGTH: usize = 4;
const LAST: usize = 1;
/// Version byte before the frames in a blob (or calldata); the only one that exists.
const DERIVATION_VERSION: u8 = 0;

/// One frame of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The channel that the frame belongs to.
    pub id: ChannelId,
    /// Position in the channel, from 0.
    pub number: u16,
    /// The channel's bytes at that position.
    pub data: Bytes,
    /// Whether the channel ends with this frame.
    pub is_last: bool,
}

/// Why the data of a blob can't be split into frames. Never retryable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Nothing at all, not even a version byte.
    #[error("the data is empty, a derivation version and a frame were expected")]
    Empty,
    /// The derivation version isn't 0.
    #[error("derivation version is {0}, only version 0 is defined")]
    Version(u8),
    /// A version byte without a frame behind it.
    #[error("the data holds no frame behind its version byte")]
    NoFrame,
    /// The frame is cut off.
    #[error("frame at byte {offset} needs {needed} bytes, {available} are left")]
    Truncated {
        /// Where the frame starts in the data.
        offset: usize,
        /// Bytes that the frame needs in all.
        needed: usize,
        /// Bytes that there are from its start on.
        available: usize,
    },
    /// The last flag is neither 0 nor 1.
    #[error("frame at byte {offset} has {value} for its last flag, 0 or 1 were expected")]
    LastFlag {
        /// Where the frame starts in the data.
        offset: usize,
        /// The flag that was found.
        value: u8,
    },
}

impl Frame {
    /// The data of a blob with this frame alone in it: derivation version, then the frame.
    ///
    /// Frames in this crate are at most [`FRAME_CAPACITY`] bytes of data; a longer one can be built by hand, and is
    /// refused when its blob is packed.
    pub fn to_blob_data(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(VERSION + FRAME_OVERHEAD + self.data.len());
        out.push(DERIVATION_VERSION);
        out.extend_from_slice(self.id.as_slice());
        out.extend_from_slice(&self.number.to_be_bytes());
        // A length beyond four bytes can't be: it would be a frame of 4 GiB. Saturating makes it unreadable, not wrong.
        out.extend_from_slice(&u32::try_from(self.data.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.data);
        out.push(u8::from(self.is_last));
        out
    }

    /// Splits the data of a blob into its frames, of which there is at least one. Nothing is copied.
    ///
    /// # Errors
    /// See [`FrameError`]; bytes that don't make up a whole frame are [`FrameError::Truncated`].
    pub fn parse_blob_data(data: &Bytes) -> Result<Vec<Self>, FrameError> {
        match data.first() {
            None => return Err(FrameError::Empty),
            Some(&DERIVATION_VERSION) => {}
            Some(&version) => return Err(FrameError::Version(version)),
        }
        let mut frames = Vec::new();
        let mut offset = VERSION;
        while offset < data.len() {
            let (frame, length) = Self::parse(data, offset)?;
            frames.push(frame);
            offset += length;
        }
        if frames.is_empty() { Err(FrameError::NoFrame) } else { Ok(frames) }
    }

    /// Parses the frame at `offset`; also returns its length in the data.
    fn parse(data: &Bytes, offset: usize) -> Result<(Self, usize), FrameError> {
        let rest = &data[offset..];
        let truncated = |needed| FrameError::Truncated { offset, needed, available: rest.len() };
        let (id, tail) = rest.split_first_chunk::<ID>().ok_or_else(|| truncated(FRAME_OVERHEAD))?;
        let (number, tail) = tail.split_first_chunk::<NUMBER>().ok_or_else(|| truncated(FRAME_OVERHEAD))?;
        let (length, tail) = tail.split_first_chunk::<LENGTH>().ok_or_else(|| truncated(FRAME_OVERHEAD))?;
        let length = u32::from_be_bytes(*length) as usize;
        let needed = FRAME_OVERHEAD.saturating_add(length);
        let is_last = match tail.get(length) {
            None => return Err(truncated(needed)),
            Some(0) => false,
            Some(1) => true,
            Some(&value) => return Err(FrameError::LastFlag { offset, value }),
        };
        let start = offset + ID + NUMBER + LENGTH;
        let data = data.slice(start..start + length);
        Ok((Self { id: ChannelId::from(*id), number: u16::from_be_bytes(*number), data, is_last }, needed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u16, data: &'static [u8], is_last: bool) -> Frame {
        Frame { id: ChannelId::repeat_byte(7), number, data: Bytes::from_static(data), is_last }
    }

    #[test]
    fn overheads_are_the_specification_s() {
        assert_eq!((FRAME_OVERHEAD, FRAME_CAPACITY), (23, 130_020));
    }

    #[test]
    fn a_frame_has_the_specified_layout() {
        let mut expected = vec![0];
        expected.extend([7; 16]);
        expected.extend([0x01, 0x02, 0, 0, 0, 3, b'a', b'b', b'c', 1]);
        assert_eq!(frame(0x0102, b"abc", true).to_blob_data(), expected);
    }

    #[test]
    fn several_frames_in_one_blob_are_read_in_order() {
        let (first, second) = (frame(0, b"abc", false), frame(1, b"", true));
        let mut data = first.to_blob_data();
        data.extend_from_slice(&second.to_blob_data()[1..]);
        assert_eq!(Frame::parse_blob_data(&data.into()), Ok(vec![first, second]));
    }

    #[test]
    fn a_malformed_frame_names_its_fault() {
        let good = frame(0, b"abc", true).to_blob_data();
        let parse = |data: &[u8]| Frame::parse_blob_data(&Bytes::copy_from_slice(data)).unwrap_err();
        assert_eq!(parse(&[]), FrameError::Empty);
        assert_eq!(parse(&[0]), FrameError::NoFrame);
        assert_eq!(parse(&[1]), FrameError::Version(1));
        for cut in 2..good.len() {
            assert!(matches!(parse(&good[..cut]), FrameError::Truncated { offset: 1, .. }), "{cut}");
        }
        let mut trailing = good.clone();
        trailing.push(0);
        assert_eq!(parse(&trailing), FrameError::Truncated { offset: 27, needed: 23, available: 1 });
        let mut flag = good.clone();
        *flag.last_mut().unwrap() = 2;
        assert_eq!(parse(&flag), FrameError::LastFlag { offset: 1, value: 2 });
        let mut long = good;
        long[19..23].fill(0xff);
        assert_eq!(
            parse(&long),
            FrameError::Truncated { offset: 1, needed: FRAME_OVERHEAD + u32::MAX as usize, available: 26 }
        );
    }
}
