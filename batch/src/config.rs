//! What a settlement's batch data may look like.

/// Blobs that one transaction may carry since Osaka (EIP-7594).
pub const MAX_BLOBS_PER_TRANSACTION: usize = 6;

const MAX_QUALITY: u8 = 11;

/// How to encode; checked by [`BatchEncoder::new`](crate::BatchEncoder::new).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Brotli quality, 0 to 11. 9 is 1% larger than 10 and several times faster.
    pub quality: u8,
    /// Blobs of one settlement, 1 to [`MAX_BLOBS_PER_TRANSACTION`].
    pub max_blobs: usize,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self { quality: 9, max_blobs: MAX_BLOBS_PER_TRANSACTION }
    }
}

/// A setting out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncoderConfigError {
    /// Brotli knows no such quality.
    #[error("quality is {0}, set it to 0..={MAX_QUALITY}")]
    Quality(u8),
    /// No transaction can carry that many blobs.
    #[error("max_blobs is {0}, set it to 1..={MAX_BLOBS_PER_TRANSACTION}")]
    MaxBlobs(usize),
}

impl EncoderConfig {
    pub(crate) fn check(self) -> Result<Self, EncoderConfigError> {
        if self.quality > MAX_QUALITY {
            return Err(EncoderConfigError::Quality(self.quality));
        }
        if !(1..=MAX_BLOBS_PER_TRANSACTION).contains(&self.max_blobs) {
            return Err(EncoderConfigError::MaxBlobs(self.max_blobs));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_at_both_ends() {
        let default = EncoderConfig::default();
        assert_eq!(default.check(), Ok(default));
        assert!(EncoderConfig { quality: 11, max_blobs: 1 }.check().is_ok());
        assert_eq!(EncoderConfig { quality: 12, ..default }.check(), Err(EncoderConfigError::Quality(12)));
        for max_blobs in [0, 7] {
            let config = EncoderConfig { max_blobs, ..default };
            assert_eq!(config.check(), Err(EncoderConfigError::MaxBlobs(max_blobs)));
        }
    }
}
